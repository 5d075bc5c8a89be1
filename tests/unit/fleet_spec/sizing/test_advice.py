"""Advice about a GPU is exact: what it names fits, and one step more does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.catalogue import load_catalogue
from fleet_spec.gpus import GPUS
from fleet_spec.sizing.advice import Placement
from fleet_spec.sizing.estimate import Engine

pytestmark = pytest.mark.unit
CATALOGUE = load_catalogue()
placements = st.builds(
    Placement,
    st.sampled_from(CATALOGUE.models),
    st.sampled_from(("llamacpp", "ollama", "vllm")),
    st.sampled_from(sorted(GPUS.values(), key=lambda gpu: gpu.name)),
    st.sampled_from((1, 2, 4)),
)


def on(model: str, gpu: str, engine: Engine = "ollama", gpus: int = 1) -> Placement:
    return Placement(CATALOGUE.get(model), engine, GPUS[gpu], gpus)


@given(placements, st.integers(1, 8))
def test_the_longest_context_fits_and_a_longer_one_does_not(placement: Placement, parallel: int) -> None:
    longest = placement.longest_context(None, parallel)
    if longest is None:
        assert not placement.holds(None, 256, parallel)
        return
    assert placement.holds(None, longest, parallel)
    if longest + 256 <= placement.model.architecture.context_length:
        assert not placement.holds(None, longest + 256, parallel)


@given(placements)
def test_the_most_requests_fit_and_one_more_does_not(placement: Placement) -> None:
    most = placement.most_parallel(None, 512)
    if most is None:
        assert not placement.holds(None, 512, 1)
        return
    assert placement.holds(None, 512, most)
    assert most == 256 or not placement.holds(None, 512, most + 1)


@given(placements)
def test_the_finest_quantisation_fits(placement: Placement) -> None:
    finest = placement.finest_quantization(512, 1)
    if finest is not None:
        assert placement.holds(finest, 512, 1)


def test_a_model_that_does_not_fit_is_told_the_quantisation_that_would() -> None:
    assert not on("llama3.1:8b", "nvidia-t4").holds("F16", 4096, 1)
    assert on("llama3.1:8b", "nvidia-t4").finest_quantization(4096, 1) == "Q8_0"
    assert on("llama3.1:70b", "nvidia-t4").finest_quantization(4096, 1) is None
    assert on("llama3.1:8b", "nvidia-t4", "vllm").finest_quantization(4096, 1) == "fp8"


def test_the_speed_limit_is_bandwidth_over_active_weights() -> None:
    # 320 GB/s over 4.92 GB.
    assert on("llama3.1:8b", "nvidia-t4").tokens_per_second_bound("Q4_K_M") == pytest.approx(65, rel=0.01)
    # A mixture of experts reads its active part alone.
    dense = on("llama3.1:70b", "nvidia-h100-80gb").tokens_per_second_bound("Q4_K_M")
    mixture = on("mixtral:8x7b", "nvidia-h100-80gb").tokens_per_second_bound("Q4_K_M")
    assert mixture > 3 * dense
