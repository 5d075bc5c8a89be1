"""Heads of HTTP messages: what a model server's head says, and the head that a client gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

import httptools

JSON_TYPE: Final = "application/json; charset=utf-8"
"""The content type of what the router itself answers."""

_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"content-length",
}
# The router speaks for itself here: who it is, when, and which web pages may read the answer.
_OWN = {b"server", b"date"}

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class ReplyHead:
    """The head of a model server's answer, and how the body after it is framed."""

    __slots__ = ("chunked", "for_client", "headers", "is_stream", "keep_alive", "length", "status")

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], *, keep_alive: bool, bodiless: bool = False
    ) -> None:
        self.status = status
        self.headers = headers
        self.keep_alive = keep_alive
        self.chunked = False
        self.length: int | None = None
        """The body's length in bytes. None where it is chunked, or ends with the connection."""
        self.is_stream = False
        """Whether the body is a stream of events."""
        self.for_client = b""
        """The head as a client gets it, without framing and without the empty line."""
        for name, value in headers:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.chunked = value.lower().endswith(b"chunked")
            elif name == b"content-type":
                self.is_stream = value.lower().startswith(b"text/event-stream")
        if bodiless or status in (204, 304):
            self.length, self.chunked = 0, False
        if self.length is None and not self.chunked:
            self.keep_alive = False


class _HeadSink:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def parse_reply_head(raw: bytes) -> ReplyHead:
    """Read a head, from its first byte to the empty line.

    Raises:
        httptools.HttpParserError: it is not HTTP.
    """
    sink = _HeadSink()
    parser = httptools.HttpResponseParser(sink)
    parser.feed_data(raw)
    return ReplyHead(parser.get_status_code(), sink.headers, keep_alive=parser.should_keep_alive())


_FROM_OUTSIDE = {b"content-type", b"cache-control"}
"""What a client is told of the head of an API beyond the fleet: the rest is between that API and the router (cookies,
account names, quotas)."""


def head_for_client(head: ReplyHead, extra: Mapping[str, str], *, outside: bool = False) -> bytes:
    """The head that a client gets: hop-by-hop headers dropped, ours added.

    Args:
        head: The model server's.
        extra: Our headers.
        outside: Whether the server is beyond the fleet.
    """
    named: set[bytes] = set()
    for name, value in head.headers:
        if name == b"connection":
            named |= {item.strip().lower() for item in value.split(b",")}
    kept = [
        (name, value)
        for name, value in head.headers
        if (name in _FROM_OUTSIDE or not outside)
        and name not in _HOP_BY_HOP
        and name not in _OWN
        and name not in named
        and not name.startswith(b"access-control-")
    ]
    lines = [status_line(head.status)]
    lines += [b"%b: %b\r\n" % (name.title(), value) for name, value in kept]
    return b"".join(lines) + header_lines(extra.items())


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n".encode()


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Lines of a head. What a header cannot carry is replaced, so that no value can end its line."""
    return b"".join(
        f"{name}: {''.join(c if ' ' <= c <= '~' else '?' for c in value)}\r\n".encode("ascii")
        for name, value in headers
    )
