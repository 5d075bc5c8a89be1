"""Streams over HTTP/1.1 with the time of each piece, at as little of the processor's time as possible.

Each read from the socket is stamped at once and kept as it is; what is in it is looked at when the stream has ended, so
that a busy generator does not stamp late. A general HTTP client spends several times as much on each piece.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import httptools

from fleet_spec.errors import BadInputError

Clock = Callable[[], float]
"""Seconds since some moment; never goes back."""
FailureKind = Literal["connect", "timeout", "broke_off", "http", "engine", "invalid", "empty", "not_sent"]
_STALE: Final = "the server closed the connection"
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True)
class Failure:
    """Why a request has no good reply."""

    kind: str
    """One of ``FailureKind``; ``http`` has its status behind it: ``http_503``."""
    detail: str


@dataclass(slots=True)
class Exchange:
    """One request and what came of it. Times are the clock's."""

    sent_at: float
    """When the request was handed over, before a connection was opened where a new one was needed."""
    ended_at: float = 0.0
    status: int = 0
    pieces: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    """The body as it was read: when, and what."""
    failure: Failure | None = None

    @property
    def body(self) -> bytes:
        """All of the body that came."""
        return b"".join(data for _, data in self.pieces)


class Connect(Protocol):
    """Opens a connection and ties a protocol to it."""

    def __call__(self, protocol: asyncio.Protocol) -> Awaitable[None]:
        """May raise OSError."""
        ...


class _Connection(asyncio.Protocol):
    """One connection to a server, for one request at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._exchange: Exchange | None = None
        self._done: asyncio.Future[None] | None = None
        self._now = 0.0
        self._has_length = False
        self._reading_body = False
        self.used = False
        """Whether it has carried a whole exchange before."""
        self.usable = True
        """Whether another request may follow."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    async def ask(self, request: bytes, exchange: Exchange) -> None:
        """Send a request and wait until its reply has ended, well or not."""
        assert self._transport is not None  # noqa: S101 - what connects has made it
        self._exchange = exchange
        self._has_length = self._reading_body = False
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._done

    def close(self) -> None:
        """Let it go; a reply that is under way breaks off."""
        self.usable = False
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._now = self._clock()
        parser = self._parser
        if parser is None or self._exchange is None:
            self.close()  # a server that speaks without being asked
            return
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(Failure("invalid", f"the reply is not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._exchange is None:
            return
        self._now = self._clock()
        if exc is None and self._reading_body and not self._has_length:
            self._end(None)  # the end of the connection is the end of such a body
        else:
            self._end(Failure("broke_off", _STALE if exc is None else str(exc) or type(exc).__name__))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the reply."""
        lowered = name.lower()
        if lowered == b"content-length" or (lowered == b"transfer-encoding" and b"chunked" in value.lower()):
            self._has_length = True

    def on_headers_complete(self) -> None:
        """The reply's head is there."""
        if self._exchange is not None and self._parser is not None:
            self._exchange.status = self._parser.get_status_code()
            self._reading_body = True

    def on_body(self, data: bytes) -> None:
        """A piece of the reply."""
        if self._exchange is not None:
            self._exchange.pieces.append((self._now, data))

    def on_message_complete(self) -> None:
        """The reply is whole."""
        if self._exchange is not None and self._exchange.status >= _SUCCESS.start:
            self.usable = self.usable and self._parser is not None and self._parser.should_keep_alive()
            self._end(None)

    def _end(self, failure: Failure | None) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.ended_at = self._now
        exchange.failure = failure
        self.used = True
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class StreamClient:
    """Sends requests to one server and keeps its connections open for the next ones."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        clock: Clock = time.perf_counter,
        connect: Connect | None = None,
    ) -> None:
        """Make a client; nothing is sent.

        Args:
            url: The server's root, such as ``http://127.0.0.1:8080``; what its paths have before them stands in it.
            headers: What each request says besides its length and type.
            timeout_seconds: Longest wait for a whole reply.
            clock: What times are read from.
            connect: How connections are opened; by default to the server of ``url``.

        Raises:
            BadInputError: the address is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInputError(f"{url!r} is no address. fix: such as http://127.0.0.1:8080")
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._base = parts.path.rstrip("/")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host = parts.netloc.rpartition("@")[2]
        # Some front ends turn away whoever does not say what it is.
        fixed = f"Host: {host}\r\nUser-Agent: paddock-bench\r\nContent-Type: application/json\r\n"
        self._head = f"HTTP/1.1\r\n{fixed}{lines}"
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._connect: Connect = connect or self._open
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes) -> Exchange:
        """Send a request and read its reply to the end; what fails is in the exchange.

        Args:
            path: After the server's root.
            body: What is sent.
        """
        head = f"POST {self._base}{path} {self._head}Content-Length: {len(body)}\r\n\r\n"
        exchange = Exchange(self._clock())
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._carry(head.encode("latin-1") + body, exchange)
        except TimeoutError:
            exchange.failure = Failure("timeout", f"no whole reply within {self._timeout_seconds:g} s")
            exchange.ended_at = self._clock()
        return exchange

    async def _carry(self, request: bytes, exchange: Exchange) -> None:
        while True:
            connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = _Connection(self._clock)
                try:
                    await self._connect(connection)
                except OSError as error:
                    exchange.failure = Failure("connect", describe(error))
                    exchange.ended_at = self._clock()
                    return
            elif not connection.usable:
                continue
            known = connection.used
            try:
                await connection.ask(request, exchange)
            except BaseException:
                connection.close()
                raise
            if connection.usable:
                self._idle.append(connection)
            # A kept connection that the server closed meanwhile says nothing about the request: once more.
            if not (known and exchange.failure is not None and not exchange.status):
                return
            exchange.failure = None

    async def _open(self, protocol: asyncio.Protocol) -> None:
        if self._tls and self._context is None:
            self._context = ssl.create_default_context()
        await asyncio.get_running_loop().create_connection(
            lambda: protocol,
            self._host,
            self._port,
            ssl=self._context,
            server_hostname=self._host if self._tls else None,
        )

    def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            self._idle.pop().close()


def describe(error: OSError) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    return error.strerror or str(error) or type(error).__name__
