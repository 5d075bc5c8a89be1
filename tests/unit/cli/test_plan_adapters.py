"""What LoRA adapters take of memory beside their base, by engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.plan.adapters import with_adapters
from fleet_spec.catalogue import load_catalogue
from fleet_spec.model_spec import AdapterSpec, ModelSpec
from fleet_spec.sizing.estimate import MemoryEstimate

pytestmark = pytest.mark.unit
ALONE = MemoryEstimate(1000, 200, 30)
ENTRY = load_catalogue().get("llama3.1:8b")


def with_(*adapters: AdapterSpec) -> ModelSpec:
    return ModelSpec(model="llama3.1:8b", adapters={f"a{number}": one for number, one in enumerate(adapters)})


def test_none_takes_nothing() -> None:
    assert with_adapters(ALONE, with_(), "vllm", ENTRY, Path()) == ALONE


def test_ollama_keeps_the_base_once_more_for_each() -> None:
    model = with_(AdapterSpec(source="a.gguf"), AdapterSpec(source="b.gguf"))
    assert with_adapters(ALONE, model, "ollama", ENTRY, Path()) == MemoryEstimate(3000, 600, 90)


def test_llamacpp_holds_their_files(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"x" * 64)
    model = with_(AdapterSpec(source="a.gguf"), AdapterSpec(source="missing.gguf"))
    assert with_adapters(ALONE, model, "llamacpp", ENTRY, tmp_path) == MemoryEstimate(1064, 200, 30)


def test_vllm_makes_room_for_the_largest_rank_at_every_matrix() -> None:
    # Llama 3.1 8B: 32 layers of 4096, 8 of 32 heads with keys (1024 wide), a feed-forward network of 14336.
    widths = 32 * ((4096 + 4096) + 2 * (4096 + 1024) + (4096 + 4096) + 2 * (4096 + 14336) + (14336 + 4096))
    model = with_(AdapterSpec(source="org/a", rank=8), AdapterSpec(source="org/b", rank=20))
    needed = with_adapters(ALONE, model, "vllm", ENTRY, Path())
    assert needed == MemoryEstimate(1000 + 2 * 32 * widths * 2, 200, 30)
