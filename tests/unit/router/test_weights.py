"""Sizes in the lists that clients show: what is known, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.weights import Weights, weights_of
from fleet_spec.contract import ModelEndpoints

pytestmark = pytest.mark.unit


def entry(**fields: Any) -> ModelEndpoints:
    return ModelEndpoints.model_validate({"engine": "llamacpp", "contextLength": 2048, **fields})


def test_a_model_of_the_catalogue_is_as_large_as_its_engines_source() -> None:
    found = weights_of(entry(model="llama3.1:8b"))
    assert found.parameter_size == "8.0B"
    assert found.quantization == "Q4_K_M"
    assert 4.5e9 < found.size_bytes < 5.2e9
    assert weights_of(entry(model="llama3.1:8b", engine="vllm")).size_bytes > 3 * found.size_bytes


def test_the_contract_knows_better() -> None:
    assert weights_of(entry(model="llama3.1:8b", sizeBytes=123)).size_bytes == 123


def test_what_nobody_knows_is_not_made_up() -> None:
    assert weights_of(entry(model="own-weights")) == Weights()
    assert weights_of(entry(model="llama3.1:8b", engine="openai")).size_bytes == 0
