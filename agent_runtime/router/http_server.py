"""Clients' connections: HTTP/1.1 in, one request at a time out to whoever answers it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

from agent_runtime.router.dialects.errors import RequestError, error_body
from agent_runtime.router.guard import lines_for_page
from agent_runtime.router.http_head import JSON_TYPE, header_lines, status_line
from agent_runtime.router.limits import Limits
from agent_runtime.router.request import Request
from agent_runtime.router.request_reader import NEVER, Phase, RequestReader

_WRITE_BUFFER_BYTES: Final = 256 * 1024


class Work(Protocol):
    """What is being done for a request, and wants to know how its client is."""

    def client_left(self) -> None:
        """The client has closed its connection."""
        ...

    def client_paused(self) -> None:
        """The client reads more slowly than it is written to."""
        ...

    def client_resumed(self) -> None:
        """The client has caught up."""
        ...


class App(Protocol):
    """Who answers requests."""

    limits: Limits
    draining: bool
    connections: set[ClientConnection]
    date_line: bytes

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer now, or set ``client.work`` and call ``client.done`` in the end."""
        ...

    def note_refusal(self, request: Request, status: int) -> None:
        """A request was refused without being handled."""
        ...


class ClientConnection(asyncio.Protocol):
    """One connection of a client. It is read while a request is answered, so that a leaving client is seen."""

    __slots__ = (
        "_address",
        "_app",
        "_busy",
        "_closing",
        "_deadline",
        "_limits",
        "_loop",
        "_pipeline",
        "_reader",
        "_reading_paused",
        "transport",
        "work",
        "write_paused",
    )

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._limits = app.limits
        self._loop = loop
        self._pipeline: deque[Request] = deque()
        self._reader = RequestReader(app.limits, loop, self._pipeline, self._say_continue)
        self._busy = False
        self._closing = False
        self._address: str | None = None
        self._deadline = NEVER
        """When a connection without a request is closed."""
        self._reading_paused = False
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.work: Work | None = None
        self.write_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._app.connections.add(self)
        self._deadline = self._loop.time() + self._limits.keep_alive_seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """The client has gone."""
        self._app.connections.discard(self)
        self._closing = True
        self._pipeline.clear()
        self._leave()

    def eof_received(self) -> None:
        """The client sends no more. The transport closes itself."""
        # TCP cannot tell a client that has gone from one that only stopped sending. Work for the first would
        # be wasted, and hardly any client does the second.
        self._leave()

    def _leave(self) -> None:
        work, self.work = self.work, None
        if work is not None:
            work.client_left()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        self.write_paused = True
        if self.work is not None:
            self.work.client_paused()

    def resume_writing(self) -> None:
        """The client has read what was written."""
        self.write_paused = False
        if self.work is not None:
            self.work.client_resumed()

    @property
    def address(self) -> str:
        """Where the client is, as far as its connection tells."""
        if self._address is None:
            name: Any = self.transport.get_extra_info("peername")
            self._address = str(name[0]) if name else ""
        return self._address

    # Requests

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._closing:
            self._reader.feed(data)
            self._next()

    def _say_continue(self) -> None:
        # In the middle of other answers it would be taken for one of them.
        if not self._busy and not self._pipeline:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next(self) -> None:
        """Take the next requests in, while they are answered at once."""
        while self._pipeline and not self._busy and not self._closing:
            request = self._pipeline.popleft()
            self._busy = True
            if self._app.draining:
                request.keep_alive = False
            if request.upload is not None:
                request.upload.pause, request.upload.resume = self._pause_upload, self._resume_upload
            if request.refusal is not None:
                self._app.note_refusal(request, request.refusal.status)
                self.respond_error(request, request.refusal)
            else:
                self._app.handle(self, request)
        # A client that sends ahead without waiting for answers is not read further.
        if len(self._pipeline) > self._limits.pipelined_requests:
            if not self._reading_paused:
                self._reading_paused = True
                self.transport.pause_reading()
        elif self._reading_paused and not self._closing:
            self._reading_paused = False
            self.transport.resume_reading()

    def _pause_upload(self) -> None:
        if not self._closing:
            self.transport.pause_reading()

    def _resume_upload(self) -> None:
        if not self._closing and not self._reading_paused:
            self.transport.resume_reading()

    def done(self, *, keep_alive: bool) -> None:
        """The answer to the current request is written."""
        self.work = None
        self._busy = False
        if self._closing:
            return
        self._reader.drop_upload()
        if self._reader.phase is Phase.REFUSED and not self._pipeline:
            self._resume_upload()
            self._finish()
            return
        if not keep_alive or self._app.draining:
            self._finish()
            return
        self._deadline = self._loop.time() + self._limits.keep_alive_seconds
        if self._pipeline:
            # Not from here: a long line of quick answers would grow the stack.
            self._loop.call_soon(self._next)

    def _finish(self) -> None:
        """Close when all is written, and what a refused client still sends has been read for a while.

        Closing a connection with unread data on it would take the answer from the client.
        """
        if self._reader.phase is Phase.REFUSED and self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline = self._loop.time() + self._limits.linger_seconds
        else:
            self._closing = True
            self.transport.close()

    # Answers

    def respond(
        self,
        request: Request,
        status: int,
        body: bytes,
        *,
        content_type: str = JSON_TYPE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write a whole answer, and be done with the request."""
        if request.upload is not None and not request.upload.complete:
            request.keep_alive = False
        head = (
            status_line(status)
            + header_lines([*([("Content-Type", content_type)] if body else []), *(headers or {}).items()])
            + b"Content-Length: %d\r\n" % len(body)
            + self.closing_lines(request)
        )
        self.transport.write(head if request.method == "HEAD" else head + body)
        self.done(keep_alive=request.keep_alive)

    def respond_error(self, request: Request, error: RequestError, *, headers: Mapping[str, str] | None = None) -> None:
        """Write an error in the client's dialect, and be done with the request."""
        body = error_body(request.dialect, error.status, error.message, param=error.param, code=error.code)
        self.respond(request, error.status, body, headers={**error.headers, **(headers or {})})

    def closing_lines(self, request: Request) -> bytes:
        """The last lines of every head."""
        lines = self._app.date_line + request.extra_lines
        if request.origin:
            lines += lines_for_page(request.origin)
        return lines + (b"\r\n" if request.keep_alive else b"Connection: close\r\n\r\n")

    def abort(self) -> None:
        """Break the connection off, so that what was sent cannot pass for a whole answer."""
        self.work = None
        self._closing = True
        self.transport.abort()

    # Time

    def tick(self, now: float) -> None:
        """Look at the time limits."""
        if self._busy:
            return
        if self._reader.phase in (Phase.HEAD, Phase.BODY):
            if self._reader.tick(now):
                self._next()
        elif now >= self._deadline:
            self.abort()

    def drain(self) -> None:
        """Close if nothing is asked; otherwise after the answer."""
        if not (self._busy or self._pipeline or self._reader.phase in (Phase.HEAD, Phase.BODY)):
            self._closing = True
            self.transport.close()
