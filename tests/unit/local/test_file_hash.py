"""Hashes of files, remembered for as long as the file does not change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from components.local import file_hash
from components.local.file_hash import remembered_sha256, sha256_of

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_hash_is_sha256_and_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hash, "CHUNK_BYTES", 4)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    told: list[int] = []
    assert sha256_of(path, told.append) == hashlib.sha256(b"0123456789").hexdigest()
    assert told == [4, 8, 10]


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    told: list[int] = []
    first = remembered_sha256(path, told.append)
    assert remembered_sha256(path, told.append) == first
    assert told == [3]
    path.write_bytes(b"three")
    assert remembered_sha256(path, told.append) == hashlib.sha256(b"three").hexdigest()
    assert told == [3, 5]


def test_a_memory_that_cannot_be_read_is_no_harm(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    cache.mkdir()
    for junk in ("{", "[]", "3"):
        (cache / "hashes.json").write_text(junk)
        assert remembered_sha256(path, lambda _: None) == hashlib.sha256(b"one").hexdigest()


def test_what_progress_raises_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")

    def stop(done_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sha256_of(path, stop)
