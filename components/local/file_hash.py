"""The SHA-256 of large files, and a memory of it: a file that has not changed is not read again to check a config."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from components.local.files import atomic_write, cache_root, file_lock

CHUNK_BYTES = 4 * 2**20
_MOST_REMEMBERED = 1000

OnChunk = Callable[[int], None]
"""Told how many bytes have been read so far. What it raises ends the reading."""


def sha256_of(path: Path, on_chunk: OnChunk) -> str:
    """Read a file and give its SHA-256 in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest, done_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done_bytes += len(chunk)
            on_chunk(done_bytes)
    return digest.hexdigest()


def remembered_sha256(path: Path, on_chunk: OnChunk) -> str:
    """The SHA-256 of a file, from memory where its path, size and time of change are those of an earlier reading.

    Raises:
        OSError: it cannot be read.
    """
    memory = cache_root() / "hashes.json"
    status = path.stat()
    key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    known = _load(memory).get(key)
    if known is not None:
        return known
    found = sha256_of(path, on_chunk)
    with file_lock(memory.with_suffix(".lock")):
        remembered = {**_load(memory), key: found}
        newest = dict(list(remembered.items())[-_MOST_REMEMBERED:])
        atomic_write(memory, json.dumps(newest, indent=1).encode() + b"\n")
    return found


def _load(memory: Path) -> dict[str, str]:
    # A memory that cannot be read costs one more reading of the files, nothing else.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return {str(key): str(value) for key, value in json.loads(memory.read_text()).items()}
    return {}
