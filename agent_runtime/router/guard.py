"""Keeps web pages out of a router that asks for no key because it listens on loopback only.

A page on the internet can make its visitor's browser send requests to 127.0.0.1, and by pointing its own
name there it can read the answers. Such requests carry the page's name in Host or Origin. Pages of this
machine and its network are let in, and their browser is told that they may read the answers.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.request import Request

_LOCAL_ENDINGS = (".localhost", ".local", ".internal")

PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, HEAD",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "600",
}
"""What a browser is told that asks, before a page's request, whether the page may make it."""


def refuse_strangers(request: Request) -> None:
    """Let a request through that names this machine, or a name that no public site can have.

    Notes the page that it comes from, for :func:`lines_for_page`.

    Raises:
        RequestError: 403, Host or Origin is the name of a site.
    """
    for name, value in request.headers:
        if name == b"host":
            if value and not _is_local(value):
                raise RequestError(403, f"the host {value.decode('latin-1')!r} is not this machine: use its address")
        elif name == b"origin":
            if not _is_local_origin(value):
                raise RequestError(403, f"pages of {value.decode('latin-1')!r} may not ask this router")
            request.origin = value


def note_origin(request: Request) -> None:
    """Note the page that a request comes from, whatever page it is: a key is what lets requests in here."""
    for name, value in request.headers:
        if name == b"origin":
            request.origin = value


def lines_for_page(origin: bytes) -> bytes:
    """Lines of a head without which a browser keeps an answer from the page that asked."""
    return b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Expose-Headers: *\r\nVary: Origin\r\n" % origin


@lru_cache(maxsize=256)
def _is_local(authority: bytes) -> bool:
    host = authority.decode("latin-1").lower()
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    # A name without a dot is found in the local network only, if at all.
    if "." not in host and ":" not in host:
        return True
    if host.endswith(_LOCAL_ENDINGS):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _is_local_origin(origin: bytes) -> bool:
    text = origin.decode("latin-1")
    try:
        parts = urlsplit(text)
    except ValueError:  # an address in brackets that is none
        return False
    if parts.scheme not in ("http", "https"):
        # Desktop apps and browser extensions; and "null", which any page can send.
        return text != "null"
    try:
        # Anybody can have a page at a public address. As a Host, one cannot be made to lead here.
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return _is_local(parts.netloc.encode("latin-1"))
    return address.is_loopback or address.is_private or address.is_unspecified
