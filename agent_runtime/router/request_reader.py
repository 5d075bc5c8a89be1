"""Reads requests off a connection, within limits: heads, bodies, and what is wrong with them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

import httptools

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.limits import Limits
from agent_runtime.router.request import Request
from agent_runtime.router.upload import Upload

NEVER: Final = float("inf")
_UPLOADS: Final = "/api/blobs/"
"""Where bodies of any size are sent to."""


class Phase(Enum):
    """Where in a request a connection is."""

    IDLE = 0
    """Between two."""
    HEAD = 1
    BODY = 2
    REFUSED = 3
    """After one that was refused. Nothing that follows is looked at."""


class RequestReader:
    """Takes bytes in, and appends requests to ``ready``: whole ones, or one with a refusal as the last."""

    __slots__ = (
        "_body",
        "_body_size_bytes",
        "_head_size_bytes",
        "_limits",
        "_loop",
        "_parser",
        "_ready",
        "_request",
        "_say_continue",
        "_unfinished_head_size_bytes",
        "_url",
        "deadline",
        "phase",
    )

    def __init__(
        self,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        ready: deque[Request],
        say_continue: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._loop = loop
        self._ready = ready
        self._say_continue = say_continue
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._body_size_bytes = 0
        self._url: list[bytes] = []
        self._head_size_bytes = 0
        self._unfinished_head_size_bytes = 0
        self.phase = Phase.IDLE
        self.deadline = NEVER
        """When the request that is being read is too late, in the event loop's time."""

    def feed(self, data: bytes) -> None:
        """Read more."""
        while data and self.phase is not Phase.REFUSED:
            if self.phase is Phase.IDLE:
                self.phase = Phase.HEAD
                self.deadline = self._loop.time() + self._limits.head_seconds
            elif self.phase is Phase.BODY:
                self.deadline = self._loop.time() + self._limits.body_gap_seconds
            data = self._feed_once(data)

    def _feed_once(self, data: bytes) -> bytes:
        """Give ``data`` to the parser; what is to be read after it is given back."""
        finished_before = len(self._ready)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parser = httptools.HttpRequestParser(self)
            return self._without_offer() + data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self.refuse(RequestError(400, f"malformed HTTP: {error}"))
        if self.phase is Phase.HEAD and len(self._ready) == finished_before:
            # The parser keeps a header to itself until it ends: one that never does is counted here.
            self._unfinished_head_size_bytes += len(data)
            self._check_head_size(self._unfinished_head_size_bytes)
        return b""

    def _without_offer(self) -> bytes:
        """The head of a request that offered to go on in another protocol, without the offer.

        Such clients (Java's is one) send a whole request with it, and take an answer in this protocol.
        The parser would take the body for the other protocol; so the head is read again.
        """
        request = self._request
        kept = [b"%b: %b\r\n" % item for item in request.headers if item[0] != b"upgrade"]
        line = f"{request.method} {request.path} HTTP/1.1\r\n".encode("latin-1")
        return line + b"".join(kept) + b"\r\n"

    def tick(self, now: float) -> bool:
        """Refuse the request that is being read if it takes too long. True where that was so."""
        if now < self.deadline:
            return False
        if self.phase is Phase.HEAD:
            self.refuse(RequestError(408, f"no whole request head in {self._limits.head_seconds:g} s"))
            return True
        if self.phase is Phase.BODY:
            gap = self._limits.body_gap_seconds
            self.refuse(RequestError(408, f"nothing of the request's body in {gap:g} s"))
            return True
        return False

    def refuse(self, refusal: RequestError) -> None:
        """Give the request that is being read up. It is answered after those before it."""
        if self.phase is Phase.REFUSED:
            return
        self.phase = Phase.REFUSED
        self.deadline = NEVER
        self._body = []
        request = self._request
        if request.upload is not None:
            # It is being handled already, and its handler is told.
            request.upload.fail()
            return
        request.refusal = refusal
        request.path = _path(b"".join(self._url))
        request.keep_alive = False
        request.started = self._loop.time()
        self._ready.append(request)

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._request = Request()
        self._body = []
        self._body_size_bytes = 0
        self._url = []
        self._head_size_bytes = 0
        self._unfinished_head_size_bytes = 0
        if self.phase is not Phase.REFUSED:
            self.phase = Phase.HEAD

    def on_url(self, url: bytes) -> None:
        """More of the target."""
        self._url.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, whole."""
        self._head_size_bytes += len(name) + len(value)
        self._check_head_size(self._head_size_bytes)
        self._request.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.phase is Phase.REFUSED:
            return
        request = self._request
        url = b"".join(self._url)
        request.path = _path(url)
        if b"?" in url:
            request.query = url.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
        request.method = self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = (
            request.version == "1.1" and request.method != "CONNECT" and self._parser.should_keep_alive()
        )
        self.phase = Phase.BODY
        self.deadline = self._loop.time() + self._limits.body_gap_seconds
        uploads = request.method == "POST" and request.path.startswith(_UPLOADS)
        refusal = self._fault_of_head(request, math.inf if uploads else self._limits.body_bytes)
        if refusal is not None:
            self.refuse(refusal)
        elif uploads:
            # Whoever handles it reads the body as it comes.
            request.upload = Upload()
            request.started = self._loop.time()
            self._ready.append(request)

    def on_body(self, body: bytes) -> None:
        """More of the body."""
        if self.phase is Phase.REFUSED:
            return
        if self._request.upload is not None:
            self._request.upload.feed(body)
            return
        self._body_size_bytes += len(body)
        if self._body_size_bytes > self._limits.body_bytes:
            self.refuse(self._body_too_large())
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.phase is Phase.REFUSED:
            return
        request, body = self._request, self._body
        if self._parser.should_upgrade() and request.method != "CONNECT":
            return  # it is not whole: the parser only takes what follows for another protocol
        if request.upload is not None:
            request.upload.end()
            self._begin_anew()
            return
        request.body = body[0] if len(body) == 1 else b"".join(body)
        request.started = self._loop.time()
        self._begin_anew()
        self._ready.append(request)

    def _begin_anew(self) -> None:
        self._request = Request()
        self._body = []
        self.phase = Phase.IDLE
        self.deadline = NEVER

    def drop_upload(self) -> None:
        """Look at nothing that still comes of a body that nobody reads any more."""
        if self._request.upload is not None and not self._request.upload.complete:
            self.phase = Phase.REFUSED
            self.deadline = NEVER

    # What may be wrong

    def _fault_of_head(self, request: Request, most_bytes: float) -> RequestError | None:
        hosts = 0
        expects = False
        for name, value in request.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                if int(value) > most_bytes:
                    return self._body_too_large()
            elif name == b"transfer-encoding":
                if value.strip().lower() != b"chunked":
                    return RequestError(400, "malformed HTTP: Transfer-Encoding must be chunked")
            elif name == b"content-encoding":
                if value.strip().lower() not in (b"", b"identity"):
                    return RequestError(415, "send the request body without Content-Encoding")
            elif name == b"expect":
                if value.strip().lower() != b"100-continue":
                    return RequestError(417, f"Expect {value.decode('latin-1')!r}: only 100-continue")
                expects = request.version == "1.1"
        if hosts > 1 or (hosts == 0 and request.version == "1.1"):
            return RequestError(400, f"malformed HTTP: {hosts} Host headers instead of one")
        if expects:
            self._say_continue()
        return None

    def _check_head_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.head_bytes:
            self.refuse(RequestError(431, f"the request's head is larger than {self._limits.head_bytes} bytes"))

    def _body_too_large(self) -> RequestError:
        return RequestError(413, f"the request's body is larger than {self._limits.body_bytes} bytes")


def _path(target: bytes) -> str:
    """The path of a target, which may be a whole URL, without its query."""
    if not target.startswith(b"/") and target != b"*":
        try:
            target = httptools.parse_url(target).path or b"/"
        except httptools.HttpParserInvalidURLError:
            target = b"/"
    return target.partition(b"?")[0].decode("latin-1")
