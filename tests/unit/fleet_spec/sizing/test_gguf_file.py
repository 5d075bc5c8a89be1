"""A GGUF header is read without being believed: broken files are refused, cheaply."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.sizing.gguf_file import GgufError, read_gguf
from tests.gguf_maker import FIGURES, gguf_bytes

pytestmark = pytest.mark.unit
WHOLE = gguf_bytes()
MOST_MEMORY_BYTES = 4 * 2**20


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


def test_a_header_tells_what_the_model_is(file: Path) -> None:
    file.write_bytes(WHOLE)
    model = read_gguf(file)
    assert (model.family, model.name) == ("nonsense", "A test")
    assert model.parameters == 64 * 32
    assert model.weights_bytes == 64 * 32 * 2
    assert model.architecture.layers == 2
    assert model.architecture.kv_heads == 2
    assert model.architecture.context_length == 1024
    assert model.architecture.tied_embeddings is True


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_short_is_refused(file: Path, length: int) -> None:
    file.write_bytes(WHOLE[:length])
    with pytest.raises(GgufError, match="fix"):
        read_gguf(file)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_and_costs_no_memory(file: Path, at: int, byte: int) -> None:
    file.write_bytes(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    tracemalloc.start()
    try:
        read_gguf(file)
    except GgufError as error:
        assert str(file) in str(error)  # noqa: PT017
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MOST_MEMORY_BYTES


@given(st.binary(max_size=400))
def test_anything_else_is_refused(file: Path, junk: bytes) -> None:
    file.write_bytes(junk)
    with pytest.raises(GgufError):
        read_gguf(file)
    file.write_bytes(b"GGUF\x03\x00\x00\x00" + junk)
    with pytest.raises(GgufError):
        read_gguf(file)


def test_a_version_that_cannot_be_read_is_named(file: Path) -> None:
    file.write_bytes(gguf_bytes(version=7))
    with pytest.raises(GgufError, match="version 7"):
        read_gguf(file)


def test_figures_that_are_missing_are_named(file: Path) -> None:
    file.write_bytes(gguf_bytes(figures={k: v for k, v in FIGURES.items() if k != "block_count"}))
    with pytest.raises(GgufError, match="layers"):
        read_gguf(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GgufError, match="nowhere"):
        read_gguf(tmp_path / "nowhere.gguf")
