"""A log file of bounded size: the current one and a few older ones beside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


class RotatedLog:
    """Appends bytes to ``path``; a full file becomes ``path.1``, that one ``path.2``, and so on.

    A disk that is full or a folder that was removed loses the log's lines and nothing else: whoever writes
    here is looking after a process that must not stop for want of a log.
    """

    def __init__(self, path: Path, *, max_bytes: int = 5 * 1024 * 1024, files: int = 5) -> None:
        """Open the log.

        Args:
            path: The current file; made when absent, with mode 0600.
            max_bytes: The size at which a file counts as full.
            files: How many files there may be, the current one among them.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor = -1
        self._size_bytes = 0
        self._open()

    def write(self, data: bytes) -> None:
        """Append ``data``, which stays in one file unless it is larger than a file may be."""
        for start in range(0, len(data), self._max_bytes):
            piece = data[start : start + self._max_bytes]
            if self._descriptor < 0:
                self._open()  # it could not be opened before: perhaps there is room again
            elif self._size_bytes and self._size_bytes + len(piece) > self._max_bytes:
                self._rotate()
            with contextlib.suppress(OSError):
                self._size_bytes += os.write(self._descriptor, piece)

    def close(self) -> None:
        """Close the current file."""
        descriptor, self._descriptor = self._descriptor, -1  # the number may soon be another file's
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size_bytes = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            with contextlib.suppress(OSError):
                newer.replace(older)
        if self._files == 1:
            self._path.unlink(missing_ok=True)
        self._size_bytes = 0
        self._open()


def last_lines(path: Path, count: int, *, from_byte: int = 0, max_bytes: int = 64 * 1024) -> list[str]:
    """The last lines of a log, newest last; none where there is no file.

    Args:
        path: The log.
        count: How many lines at most.
        from_byte: Lines before this offset are left out, unless the file has become shorter since.
        max_bytes: How much of the end is looked at.
    """
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            start = from_byte if from_byte <= size_bytes else 0
            file.seek(max(start, size_bytes - max_bytes))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return _meaningful(text.splitlines())[-count:]


def _meaningful(lines: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip()]
