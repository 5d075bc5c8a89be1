"""A request's body that is too large to be kept: read by whoever needs it, as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from agent_runtime.router.dialects.errors import RequestError

_HELD_BYTES: Final = 1024 * 1024
"""How much may wait to be read before the client has to wait as well."""


class Upload:
    """Takes pieces of a body in, and gives them out. What sends them waits for what reads them."""

    __slots__ = ("_arrived", "_failed", "_held_bytes", "_pieces", "complete", "pause", "resume")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._failed = False
        self.complete = False
        """Whether the last piece has come."""
        self.pause: Callable[[], None] = _nothing
        """Makes the client wait. Set by the connection."""
        self.resume: Callable[[], None] = _nothing

    def feed(self, data: bytes) -> None:
        """A piece has come."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        self._arrived.set()
        if self._held_bytes > _HELD_BYTES:
            self.pause()

    def end(self) -> None:
        """It was the last piece."""
        self.complete = True
        self._arrived.set()

    def fail(self) -> None:
        """No more will come, and it was not the last piece."""
        self._failed = True
        self._arrived.set()

    async def read(self, gap_seconds: float) -> bytes:
        """What has come since the last time; nothing at the end.

        Raises:
            RequestError: 400, the body ended before its end; 408, nothing came for so long.
        """
        while not self._pieces:
            if self._failed:
                raise RequestError(400, "the request's body is broken")
            if self.complete:
                return b""
            self._arrived.clear()
            try:
                async with asyncio.timeout(gap_seconds):
                    await self._arrived.wait()
            except TimeoutError as error:
                raise RequestError(408, f"nothing of the request's body in {gap_seconds:g} s") from error
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        self.resume()
        return data


class Feed:
    """What one of several readers of a body still has to read."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=2)
        self._closed = False

    async def put(self, data: bytes) -> None:
        """Hand a piece on, as soon as there is room; an empty one ends the body."""
        if not self._closed:
            await self._pieces.put(data)

    def close(self) -> None:
        """Nobody reads any more."""
        self._closed = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._pieces.get():
            yield data


async def pump(upload: Upload, feeds: Sequence[Feed], gap_seconds: float) -> None:
    """Hand a body on to all readers, no faster than the slowest of them reads.

    Raises:
        RequestError: as for :meth:`Upload.read`.
    """
    while data := await upload.read(gap_seconds):
        for feed in feeds:
            await feed.put(data)
    for feed in feeds:
        await feed.put(b"")


def _nothing() -> None:
    """Nobody has to wait."""
