"""Keeps web pages out of a router that asks for no key because it listens on loopback only.

A page on the internet can make its visitor's browser send requests to 127.0.0.1, and by pointing its own
name there it can read the answers. Such requests carry the page's name in Host or Origin.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.request import Request

_LOCAL_ENDINGS = (".localhost", ".local", ".internal")


def refuse_strangers(request: Request) -> None:
    """Let a request through that names this machine, or a name that no public site can have.

    Raises:
        RequestError: 403, Host or Origin is the name of a site.
    """
    for name, value in request.headers:
        if name == b"host":
            if value and not _is_local(value):
                raise RequestError(403, f"the host {value.decode('latin-1')!r} is not this machine: use its address")
        elif name == b"origin" and not _is_local_origin(value):
            raise RequestError(403, f"pages of {value.decode('latin-1')!r} may not ask this router")


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
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        # Desktop apps and browser extensions; and "null", which any page can send.
        return text != "null"
    return _is_local(parts.netloc.encode("latin-1"))
