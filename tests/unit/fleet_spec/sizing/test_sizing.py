"""Sizes: close to what is published, and never wrong in the direction that hurts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.catalogue import load_catalogue
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import BadInputError
from fleet_spec.gpus import GPUS
from fleet_spec.sizing.estimate import GIB, Engine, MemoryEstimate, estimate_memory, fits
from fleet_spec.sizing.formats import stored_as
from fleet_spec.sizing.kv_cache import kv_cache_bytes
from fleet_spec.sizing.weights import (
    GGUF_QUANTIZATIONS,
    VLLM_QUANTIZATIONS,
    UnknownQuantizationError,
    gguf_bytes,
    vllm_bytes,
)

pytestmark = pytest.mark.unit
CATALOGUE = load_catalogue()
KNOWN: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("known_sizes.yaml").read_text(encoding="utf-8"))

models = st.sampled_from(CATALOGUE.models)
engines: st.SearchStrategy[Engine] = st.sampled_from(("llamacpp", "ollama", "vllm"))


def estimate(model: CatalogueModel, engine: Engine, **changes: Any) -> MemoryEstimate:
    settings: dict[str, Any] = {"quantization": None, "context_length": 512, "parallel": 1, **changes}
    return estimate_memory(model, engine=engine, **settings)


@pytest.mark.parametrize("known", KNOWN, ids=lambda one: f"{one['model']}-{one['quantization']}")
def test_weights_are_within_four_percent_of_what_is_published(known: dict[str, Any]) -> None:
    estimated = gguf_bytes(CATALOGUE.get(known["model"]), known["quantization"])
    assert estimated / 1e9 == pytest.approx(known["gigabytes"], rel=0.04)


def test_the_median_of_the_table_is_within_half_a_percent() -> None:
    errors = sorted(
        abs(gguf_bytes(CATALOGUE.get(one["model"]), one["quantization"]) / 1e9 / one["gigabytes"] - 1) for one in KNOWN
    )
    assert errors[len(errors) // 2] < 0.005


def test_the_kv_cache_of_a_known_model() -> None:
    # Llama 3.1 8B: 32 layers x 8 KV heads x 128 x 2 (keys, values) x 2 bytes = 128 KiB a token.
    figures = CATALOGUE.get("llama3.1:8b").architecture
    assert kv_cache_bytes(figures, context_length=8192, parallel=1) == 8192 * 128 * 1024
    assert kv_cache_bytes(figures, context_length=8192, parallel=4) == 4 * 8192 * 128 * 1024
    assert kv_cache_bytes(figures, context_length=8192, parallel=1, cache_type="q8_0") == 8192 * 68 * 1024


def test_a_sliding_window_stops_the_cache_from_growing() -> None:
    figures = CATALOGUE.get("gemma3:270m").architecture
    short = kv_cache_bytes(figures, context_length=4096, parallel=1)
    long = kv_cache_bytes(figures, context_length=32_768, parallel=1)
    assert long < 8 * short / 1.5


def test_bitsandbytes_takes_about_a_third_of_sixteen_bits() -> None:
    model = CATALOGUE.get("llama3.1:8b")
    assert vllm_bytes(model, None) == pytest.approx(2 * model.parameters.total, rel=0.01)
    assert 0.3 < vllm_bytes(model, "bitsandbytes") / vllm_bytes(model, None) < 0.4


@given(models, engines, st.integers(1, 40), st.integers(1, 40))
def test_more_context_never_needs_less(model: CatalogueModel, engine: Engine, one: int, more: int) -> None:
    smaller = estimate(model, engine, context_length=256 * one)
    larger = estimate(model, engine, context_length=256 * (one + more))
    assert larger.total_bytes >= smaller.total_bytes


@given(models, engines, st.integers(1, 16))
def test_more_requests_at_a_time_need_more(model: CatalogueModel, engine: Engine, parallel: int) -> None:
    fewer, more = estimate(model, engine, parallel=parallel), estimate(model, engine, parallel=parallel + 1)
    assert more.kv_cache_bytes > fewer.kv_cache_bytes
    assert more.total_bytes > fewer.total_bytes


@given(models, engines, st.sampled_from(sorted(GPUS.values(), key=lambda gpu: gpu.memory_bytes)), st.integers(0, 2**38))
def test_a_bigger_gpu_never_holds_less(model: CatalogueModel, engine: Engine, gpu: Any, more: int) -> None:
    needed = estimate(model, engine)
    if fits(needed, engine=engine, gpu_memory_bytes=gpu.memory_bytes):
        assert fits(needed, engine=engine, gpu_memory_bytes=gpu.memory_bytes + more)


@given(models, st.sampled_from(GGUF_QUANTIZATIONS))
def test_no_gguf_takes_less_than_two_bits_or_more_than_itself_in_32(model: CatalogueModel, level: str) -> None:
    size = gguf_bytes(model, level)
    assert 2 / 8 < size / model.parameters.total < 4.5


@given(models, st.sampled_from(VLLM_QUANTIZATIONS))
def test_no_method_of_vllm_takes_more_than_sixteen_bits(model: CatalogueModel, method: str) -> None:
    assert vllm_bytes(model, method) <= vllm_bytes(model, None)


@pytest.mark.parametrize(
    ("model", "engine", "quantization", "gpu", "holds"),
    [
        ("llama3.1:8b", "ollama", "Q4_K_M", "nvidia-t4", True),
        ("llama3.1:8b", "ollama", "F16", "nvidia-t4", False),
        ("llama3.1:8b", "vllm", None, "nvidia-t4", False),
        ("llama3.1:8b", "vllm", None, "nvidia-l4", True),
        ("llama3.1:8b", "vllm", "bitsandbytes", "nvidia-t4", True),
        ("llama3.1:70b", "ollama", "Q4_K_M", "nvidia-a100-40gb", False),
        ("llama3.1:70b", "ollama", "Q4_K_M", "nvidia-a100-80gb", True),
        ("llama3.1:70b", "vllm", None, "nvidia-h200", False),
        ("mixtral:8x7b", "ollama", "Q4_K_M", "nvidia-rtx-4090", False),
        ("codellama:13b", "ollama", "Q4_K_M", "nvidia-t4", True),
    ],
)
def test_what_is_known_to_fit_fits_and_what_does_not_does_not(
    model: str, engine: Engine, quantization: str | None, gpu: str, holds: bool
) -> None:
    needed = estimate(CATALOGUE.get(model), engine, quantization=quantization, context_length=4096)
    assert fits(needed, engine=engine, gpu_memory_bytes=GPUS[gpu].memory_bytes) is holds, needed.total_bytes / GIB


def test_rows_that_do_not_divide_into_blocks_are_stored_wider() -> None:
    assert stored_as("Q4_K", 4096) == "Q4_K"
    assert stored_as("Q4_K", 640) == "Q5_0"
    assert stored_as("Q6_K", 640) == "Q8_0"
    assert stored_as("Q8_0", 20) == "F16"


def test_what_is_not_known_is_refused_with_what_is() -> None:
    model = CATALOGUE.get("llama3.1:8b")
    with pytest.raises(UnknownQuantizationError, match="Q4_K_M"):
        gguf_bytes(model, "Q4_X")
    with pytest.raises(UnknownQuantizationError, match="bitsandbytes"):
        vllm_bytes(model, "Q4_K_M")
    with pytest.raises(BadInputError, match="q8_0"):
        kv_cache_bytes(model.architecture, context_length=512, parallel=1, cache_type="q9")
