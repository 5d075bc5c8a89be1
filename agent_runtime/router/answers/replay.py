"""Gives an answer again: whole ones with their length, streams as streams, both at the client's pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from agent_runtime.router.answers.recording import fresh_id, without_chunks
from agent_runtime.router.answers.store import Answer
from agent_runtime.router.http_head import header_lines, status_line
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.request import Request

_SLICE_BYTES: Final = 64 * 1024
_CLIENT_LEFT: Final = 499


class Replay:
    """An answer on its way to a client that did not have to wait for it.

    It has the text, the counts, the times and the calls of tools of the answer that was recorded. Of its own it has
    OpenAI's id, and the header ``Age``, which says how many seconds ago the answer was computed.
    """

    __slots__ = ("_at", "_body", "_client", "_ended", "_loop", "_on_end", "_patience", "_patience_seconds", "_request")

    def __init__(
        self,
        client: ClientConnection,
        request: Request,
        answer: Answer,
        *,
        age_seconds: float,
        headers: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        patience_seconds: float,
        on_end: Callable[[int], None],
    ) -> None:
        """Prepare the answer; ``start`` writes it.

        Args:
            client: Who asked.
            request: What was asked.
            answer: What the cache found.
            age_seconds: How old it is.
            headers: What the router has to say of this request: its id, the reason, the cost.
            loop: The client's event loop.
            patience_seconds: How long a client may take no more of it before it is cut off.
            on_end: Called once with the status for the account: 200, or 499 where the client left.
        """
        self._client = client
        self._request = request
        self._loop = loop
        self._on_end = on_end
        self._patience_seconds = patience_seconds
        self._patience: asyncio.TimerHandle | None = None
        self._ended = False
        self._at = 0
        self._body = memoryview(self._whole(answer, age_seconds, headers))

    def start(self) -> None:
        """Write the answer, or as much of it as the client takes now."""
        self._client.work = self
        if self._client.write_paused:
            # An answer before this one still fills the client's buffer.
            self.client_paused()
        self._go_on()

    def client_left(self) -> None:
        """Stop."""
        self._end(_CLIENT_LEFT)

    def client_paused(self) -> None:
        """Wait for a client that reads slowly, but not for ever."""
        if self._patience is None and not self._ended:
            self._patience = self._loop.call_later(self._patience_seconds, self._give_up)

    def client_resumed(self) -> None:
        """Go on."""
        self._calm()
        self._loop.call_soon(self._go_on)

    def _whole(self, answer: Answer, age_seconds: float, headers: Mapping[str, str]) -> bytes:
        body, framing = answer.body, b"Transfer-Encoding: chunked\r\n"
        if answer.reply_id is not None:
            fresh = fresh_id(answer.reply_id)
            if fresh is not None:
                body = body.replace(f'"{answer.reply_id}"'.encode(), f'"{fresh}"'.encode())
        if not answer.chunked or self._request.version != "1.1":
            if answer.chunked:
                body = without_chunks(body)
            framing = b"Content-Length: %d\r\n" % len(body)
        own = {"X-Paddock-Cache": "hit", "Age": str(max(0, int(age_seconds))), **headers}
        head = status_line(200) + answer.head + header_lines(own.items())
        return head + framing + self._client.closing_lines(self._request) + body

    def _go_on(self) -> None:
        """Write the next slice. Other clients have their turn between two slices."""
        if self._ended or self._client.write_paused:
            return
        data = self._body[self._at : self._at + _SLICE_BYTES]
        self._at += len(data)
        self._client.transport.write(data)
        # The write may have found the client gone, or slow.
        if self._at < len(self._body):
            if not self._client.write_paused:
                self._loop.call_soon(self._go_on)
        elif not self._ended:
            self._end(200)
            self._client.done(keep_alive=self._request.keep_alive)

    def _give_up(self) -> None:
        self._client.abort()
        self._end(_CLIENT_LEFT)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end(self, status: int) -> None:
        if not self._ended:
            self._ended = True
            self._calm()
            self._on_end(status)
