"""A worker's charges on their way to the ledger, in memory that outlives the process.

A request's end may cost a microsecond or two and must survive ``kill -9``. So charges are packed into a ring in a file
that is mapped into memory: a killed process's pages stay with the kernel, which writes them. Each record is written
first, and then the one number that says it is there. The ledger takes the records over in batches and remembers, in
the same transaction, how far it got; a batch that is handed in again changes nothing. When a worker is gone, which the
lock on its file tells, any other worker hands in what it left.

A machine that loses its power loses what the kernel had not yet written of the ring: at most the last half minute of
charges of own tiers. Paid requests are in the ledger before they are sent.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import uuid
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

from agent_runtime.router.money.charges import Series

_MAGIC: Final = b"PADDOCK1"
_HEADER_BYTES: Final = 4096
_TAIL: Final = 1
_HEAD: Final = 2
_RECORD: Final = struct.Struct("<16sIIdqqqqdd")
DEFAULT_RECORDS: Final = 16_384
"""How many charges wait for a ledger that cannot be written before memory, which dies with the process, takes over."""
SUFFIX: Final = ".journal"
_NO_RESERVATION: Final = b"\0" * 16


class Record(NamedTuple):
    """One charge as it is kept."""

    reservation: bytes
    """The reservation that it settles, or 16 zero bytes."""
    series: int
    failed: int
    at: float
    """Unix time of the request's end."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    nano_usd: int
    duration_seconds: float
    busy_seconds: float


class Journal:
    """The ring of one worker. Only its owner appends to it."""

    def __init__(self, path: Path | None = None, records: int = DEFAULT_RECORDS) -> None:
        """Make a ring.

        Args:
            path: the directory that it lies in, None for memory alone: then a killed process loses what the ledger
                has not taken yet.
            records: its capacity.

        Raises:
            OSError: the directory cannot be written, or there is no room for the ring.
        """
        self.name = uuid.uuid4().hex
        self._capacity = records
        self._numbers: dict[Series, int] = {}
        self._series: list[Series] = []
        self._names: int | None = None
        size_bytes = _HEADER_BYTES + records * _RECORD.size
        if path is None:
            self._file: int | None = None
            self._map = mmap.mmap(-1, size_bytes)
        else:
            self._file, self._names = _create(path, self.name, size_bytes)
            self._map = mmap.mmap(self._file, size_bytes)
        self._path = path
        self._map[:8] = _MAGIC
        self._head_and_tail = memoryview(self._map)[: 3 * 8].cast("Q")
        self._tail = 0
        self._head = 0

    def append(
        self,
        series: Series,
        reservation: bytes | None,
        failed: bool,
        at: float,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        nano_usd: int,
        duration_seconds: float,
        busy_seconds: float,
    ) -> bool:
        """Keep a charge. False where the ring is full. Positional, since every request passes here.

        Raises:
            OSError: the name of a series that was not seen before cannot be written.
        """
        number = self._numbers.get(series)
        if number is None:
            number = self._new_series(series)
        tail = self._tail
        if tail - self._head >= self._capacity:
            return False
        _RECORD.pack_into(
            self._map,
            _HEADER_BYTES + tail % self._capacity * _RECORD.size,
            reservation or _NO_RESERVATION,
            number,
            failed,
            at,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            nano_usd,
            duration_seconds,
            busy_seconds,
        )
        # From this store on, the record is there; a process that is killed before it never wrote it.
        self._tail = self._head_and_tail[_TAIL] = tail + 1
        return True

    @property
    def waiting(self) -> int:
        """How many records the ledger has not taken."""
        return self._tail - self._head

    @property
    def head(self) -> int:
        """The number of the first record that the ledger has not taken."""
        return self._head

    def read(self, most: int) -> list[Record]:
        """The oldest records that the ledger has not taken."""
        return list(_records(self._map, self._capacity, self._head, min(self._tail, self._head + most)))

    def series_of(self, record: Record) -> Series:
        """Whose record it is."""
        return self._series[record.series]

    def taken(self, upto: int) -> None:
        """The ledger has every record before this number."""
        self._head = self._head_and_tail[_HEAD] = upto

    def close(self) -> None:
        """End. A ring that is empty leaves nothing behind; another is kept for whoever opens the ledger next."""
        self._head_and_tail.release()
        self._map.close()
        if self._file is not None and self._path is not None:
            if self.waiting == 0:
                _remove(self._path, self.name)
            os.close(self._file)
            self._file = None
        if self._names is not None:
            os.close(self._names)
            self._names = None

    def _new_series(self, series: Series) -> int:
        if self._names is not None:
            os.write(self._names, (json.dumps(series) + "\n").encode())
        number = self._numbers[series] = len(self._series)
        self._series.append(series)
        return number


class Left(NamedTuple):
    """What a worker that is gone has left."""

    name: str
    head: int
    """The number of its first record here; the ledger may know of later ones."""
    records: list[tuple[Series, Record]]


class Leftover:
    """A journal whose owner is gone, held so that nobody else takes it over meanwhile."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file

    def read(self) -> Left:
        """What is in it. A ring that was never finished being made holds nothing."""
        name = self._path.name.removesuffix(SUFFIX)
        size_bytes = os.fstat(self._file).st_size
        if size_bytes < _HEADER_BYTES:
            return Left(name, 0, [])
        with mmap.mmap(self._file, size_bytes, access=mmap.ACCESS_READ) as ring:
            if ring[:8] != _MAGIC:
                return Left(name, 0, [])
            tail, head = struct.unpack_from("<QQ", ring, 8)
            capacity = (size_bytes - _HEADER_BYTES) // _RECORD.size
            series = [Series(*cast("list[str]", json.loads(line))) for line in _whole_lines(_names_path(self._path))]  # pyright: ignore[reportArgumentType]
            found = _records(ring, capacity, head, tail)
            return Left(name, head, [(series[record.series], record) for record in found])

    def set_aside(self) -> None:
        """Keep it for a person to look at."""
        self._path.rename(self._path.with_suffix(".damaged"))

    def remove(self) -> None:
        """The ledger has all of it."""
        _remove(self._path.parent, self._path.name.removesuffix(SUFFIX))


def leftovers(directory: Path) -> Generator[Leftover]:
    """The journals in a directory whose owners are gone, each held while it is looked at."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            if _lock(file) and _same_file(path, file):
                yield Leftover(path, file)
        finally:
            os.close(file)


def living(directory: Path) -> set[str]:
    """The names of the journals in a directory whose owners are at work."""
    found: set[str] = set()
    for path in directory.glob(f"*{SUFFIX}"):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            if not _lock(file):
                found.add(path.name.removesuffix(SUFFIX))
        finally:
            os.close(file)
    return found


def _create(directory: Path, name: str, size_bytes: int) -> tuple[int, int]:
    """Make a ring's file and the file with its names. It gets its final name only when it is locked and has room."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = directory / f"{name}.new"
    names = os.open(directory / f"{name}.names", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A full disk must show here, and not as a SIGBUS when the page is written.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, size_bytes)
            else:
                os.write(file, b"\0" * size_bytes)
            making.rename(directory / f"{name}{SUFFIX}")
        except OSError:
            os.close(file)
            making.unlink(missing_ok=True)
            raise
    except OSError:
        os.close(names)
        (directory / f"{name}.names").unlink(missing_ok=True)
        raise
    return file, names


def _records(ring: mmap.mmap, capacity: int, head: int, tail: int) -> Iterator[Record]:
    for number in range(head, tail):
        yield Record._make(_RECORD.unpack_from(ring, _HEADER_BYTES + number % capacity * _RECORD.size))


def _names_path(journal: Path) -> Path:
    return journal.with_name(journal.name.removesuffix(SUFFIX) + ".names")


def _whole_lines(path: Path) -> Iterable[str]:
    # A last line without its end belongs to a process that was killed before it used the name.
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(path: Path, file: int) -> bool:
    """Whether the path still leads to this file: another worker may have taken it over and removed it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(file)
    return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)


def _remove(directory: Path, name: str) -> None:
    (directory / f"{name}{SUFFIX}").unlink(missing_ok=True)
    (directory / f"{name}.names").unlink(missing_ok=True)
