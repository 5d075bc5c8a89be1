"""An adapter's file says what it changes; whether that is there in a base is known before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_spec.adapters import AdapterError, read_adapter, require_base
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.gguf_file import GgufError, read_gguf_header

pytest.importorskip("gguf")
from tests.tiny_llama import TINY, TinyLlama, write_adapter, write_base

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base.gguf")


def test_an_adapter_tells_its_architecture_rank_alpha_and_matrices(tmp_path: Path) -> None:
    adapter = read_adapter(write_adapter(tmp_path / "a.gguf", rank=4, alpha=8, targets=("attn_k", "ffn_down")))
    assert (adapter.family, adapter.rank, adapter.alpha) == ("llama", 4, 8.0)
    assert adapter.matrices["blk.0.attn_k.weight"] == (64, 32)
    assert adapter.matrices["blk.1.ffn_down.weight"] == (96, 64)
    assert len(adapter.matrices) == 2 * TINY.layers


def test_it_belongs_to_the_base_that_has_its_matrices(base: Path, tmp_path: Path) -> None:
    require_base(read_adapter(write_adapter(tmp_path / "a.gguf")), read_gguf_header(base))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": "qwen2"}, "is for qwen2 and base.gguf is a llama"),
        ({"targets": (), "extra": {"blk.9.attn_q.weight": (64, 64)}}, "base.gguf has no blk.9.attn_q.weight"),
        ({"figures": TinyLlama(width=32)}, "blk.0.attn_q.weight is 64 x 64 there and 32 x 32 in the adapter"),
    ],
)
def test_one_of_another_base_is_refused_with_what_differs(
    base: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    adapter = read_adapter(write_adapter(tmp_path / "a.gguf", **changes))  # pyright: ignore[reportArgumentType]
    with pytest.raises(AdapterError, match="fix: name the base that it was trained on") as refused:
        require_base(adapter, read_gguf_header(base))
    assert told in str(refused.value)


def test_a_model_is_no_adapter(base: Path) -> None:
    with pytest.raises(AdapterError, match="not a LoRA adapter"):
        read_adapter(base)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(GgufError, match="cut short"):
        read_adapter(path)


@pytest.mark.parametrize("cut", range(0, 600, 37))
def test_no_broken_file_gives_anything_but_an_error_for_a_person(tmp_path: Path, cut: int) -> None:
    path = write_adapter(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadInputError):
        read_adapter(path)
