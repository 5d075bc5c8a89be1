"""Connections to model servers, kept open and used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

import httptools

from agent_runtime.router.fleet_state import EndpointState
from agent_runtime.router.http_head import ReplyHead

_HEAD_LIMIT_BYTES: Final = 64 * 1024
_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_JOIN_LIMIT_BYTES: Final = 64 * 1024
"""Up to here, head and body of a request are joined into one write; beyond, copying costs more."""


class BodySink(Protocol):
    """Where a body goes."""

    @property
    def unframe(self) -> bool:
        """Whether it is needed without its framing, or as it is read."""
        ...

    def write(self, data: bytes) -> None:
        """More of it. Must not raise."""
        ...


class ReplyHandler(Protocol):
    """Who waits for an answer."""

    def read_head(self, raw: bytes) -> ReplyHead:
        """Parse a head. May raise httptools.HttpParserError or ValueError."""
        ...

    def on_reply_head(self, head: ReplyHead) -> BodySink | None:
        """The head is there. Says where the body goes; None where the connection was given up."""
        ...

    def on_reply_end(self) -> None:
        """The answer is whole. The connection is free already."""
        ...

    def on_reply_lost(self, kind: str, problem: str) -> None:
        """The answer will not come, or not all of it. The connection is closed."""
        ...


class _Framing:
    """Follows chunked framing without looking at what is in it."""

    def __init__(self) -> None:
        self.messages = 0
        self.complete = False
        # Counted by C code: a call into Python for each chunk would cost more than passing it on.
        self._begun = count()
        self._ended = count()
        self.on_chunk_header = self._begun.__next__
        self.on_chunk_complete = self._ended.__next__

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_message_complete(self) -> None:
        self.complete = True

    def between_chunks(self) -> bool:
        """Whether every chunk that was begun was ended. May be asked once: asking counts."""
        return next(self._begun) == next(self._ended)


class _Unframing(_Framing):
    """Follows chunked framing and keeps what is in it, until all that was read is handed on at once."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self.on_body = self._parts.append

    def taken(self) -> bytes:
        """What was in the chunks since this was last asked."""
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data


def _drop(data: bytes) -> None:
    """Nobody wants it."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to a model server, for one request at a time."""

    __slots__ = (
        "_buffer",
        "_framing",
        "_head",
        "_left",
        "_parser",
        "_write",
        "endpoint",
        "handler",
        "idle_since",
        "reused",
        "transport",
    )

    def __init__(self, endpoint: EndpointState) -> None:
        self.endpoint = endpoint
        self.transport: asyncio.Transport | None = None
        self.handler: ReplyHandler | None = None
        self.reused = False
        """Whether it has carried a request before: such a one may have been closed by the server meanwhile."""
        self.idle_since: float | None = None
        """When it was first seen without a request, in the event loop's time."""
        self._buffer = b""
        self._head: ReplyHead | None = None
        self._left = 0
        self._parser: httptools.HttpResponseParser | None = None
        self._framing: _Framing | None = None
        self._write: Callable[[bytes], None] = _drop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server has been reached."""
        self.transport = transport  # type: ignore[assignment]

    def ask(self, method: bytes, path: str, body: bytes, handler: ReplyHandler, trace_parent: bytes = b"") -> None:
        """Send a request; ``handler`` gets the answer. ``path`` is one of the engine's own."""
        endpoint = self.endpoint
        head = f"{endpoint.base_path}{path} HTTP/1.1\r\n".encode("latin-1", "replace")
        length = b"Content-Length: %d\r\n\r\n" % len(body) if method == b"POST" else b"\r\n"
        trace = b"traceparent: %b\r\n" % trace_parent if trace_parent else b""
        self._send(b"%b %b%b%b%b" % (method, head, endpoint.head_lines(), trace, length), body, handler)

    def _send(self, head: bytes, body: bytes, handler: ReplyHandler) -> None:
        assert self.transport is not None  # noqa: S101 - send follows connection_made
        self.handler = handler
        self.idle_since = None
        if len(body) <= _JOIN_LIMIT_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        if self._head is None:
            if self.handler is None:
                self.close()  # a server that speaks without being asked
                return
            data = self._read_head(data)
            if not data and self._head is None:
                return
        self._read_body(data)

    def _read_head(self, data: bytes) -> bytes:
        """Read the head out of ``data``; what follows it is given back."""
        handler = self.handler
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while handler is not None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _HEAD_LIMIT_BYTES:
                    self._lose("invalid", "sent a response head without an end")
                else:
                    self._buffer = data
                return b""
            raw, data = data[: end + 4], data[end + 4 :]
            try:
                head = handler.read_head(raw)
            except (httptools.HttpParserError, ValueError) as error:
                self._lose("invalid", f"sent what is not HTTP: {error}")
                return b""
            if 100 <= head.status < 200:
                continue
            self._begin_body(handler, head)
            return data
        return b""

    def _begin_body(self, handler: ReplyHandler, head: ReplyHead) -> None:
        sink = handler.on_reply_head(head)
        if sink is None:
            return
        self._head = head
        self._write = sink.write
        if head.chunked:
            self._framing = _Unframing() if sink.unframe else _Framing()
            self._parser = httptools.HttpResponseParser(self._framing)
            self._parser.feed_data(_CHUNKED_HEAD)
        elif head.length is not None:
            self._left = head.length

    def _read_body(self, data: bytes) -> None:
        head, handler, framing = self._head, self.handler, self._framing
        if head is None or handler is None:
            return
        if framing is not None and self._parser is not None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                if isinstance(framing, _Unframing):
                    self._hand_on(framing.taken())
                if self.handler is handler:
                    self._lose("invalid", f"broke HTTP's framing: {error}")
                return
            if framing.messages > 1:
                self._lose("invalid", "sent more than its answer")
                return
            self._hand_on(framing.taken() if isinstance(framing, _Unframing) else data)
            if framing.complete and self.handler is handler:
                self._end(handler)
            return
        if head.length is None:
            if data:
                self._write(data)
            return
        if len(data) > self._left:
            self._lose("invalid", "sent more than its answer")
            return
        self._left -= len(data)
        if data:
            self._write(data)
        if self._left == 0 and self.handler is handler:
            self._end(handler)

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._write(data)

    def _end(self, handler: ReplyHandler) -> None:
        keep = self._head is not None and self._head.keep_alive
        self.handler = None
        self._head = self._framing = self._parser = None
        self._write = _drop
        transport = self.transport
        # The connection is given back first, so that the next request in line can have it.
        if keep and transport is not None and not transport.is_closing() and not self.endpoint.removed:
            self.reused = True
            transport.resume_reading()
            self.endpoint.idle.append(self)
        else:
            self.close()
        handler.on_reply_end()

    def _lose(self, kind: str, problem: str) -> None:
        handler, self.handler = self.handler, None
        self.close()
        if handler is not None:
            handler.on_reply_lost(kind, problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, whoever closed it."""
        if self in self.endpoint.idle:
            self.endpoint.idle.remove(self)
        if self.handler is None:
            return
        handler = self.handler
        head = self._head
        if head is not None and head.length is None and not head.chunked and exc is None:
            self._end(handler)
            return
        if head is None:
            self._lose("closed", "closed the connection before it answered")
        else:
            self._lose("truncated", "broke its answer off")

    def between_chunks(self) -> bool:
        """Whether the last byte that was handed on ended a chunk. May be asked once."""
        return self._framing is not None and self._framing.between_chunks()

    def abandon(self) -> None:
        """Give the request up: the server sees the connection close, and stops its work."""
        self.handler = None
        self.close()

    def close(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()
