"""The page's files: read once, served to everybody, since they tell nothing of the fleet.

Scripts and styles are files of their own because the page's Content-Security-Policy allows no other. Nothing is
fetched from elsewhere, and nothing may be framed, submitted or sent elsewhere.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_runtime.router.http_head import header_lines
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.local import Answer
    from agent_runtime.router.service import Router

_DIRECTORY: Final = Path(__file__).parent / "assets"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PREFIX: Final = "/paddock/"
"""Before the names of the files, but for the page itself."""
ASSET_PATHS: Final = frozenset(PREFIX + path.name for path in _DIRECTORY.iterdir() if path.name != "index.html")
"""Where they are asked for."""

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text of models cannot become markup, whatever a script does with it.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
GUARDS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of everything that is the page's own."""
_PAGE_GUARDS: Final = {
    **GUARDS,
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_GREETING: Final = b"Ollama is running"


class _File:
    """A file, and what is known of it beforehand."""

    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.zipped = gzip.compress(self.body, 9, mtime=0)
        self.tag = f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'
        self.content_type = _TYPES[path.suffix]


@lru_cache(maxsize=64)
def _file(name: str) -> _File:
    return _File(_DIRECTORY / name)


def greeting(_router: Router, request: Request) -> Answer:
    """/: the page for browsers; for others what Ollama's clients look for to know that it is there."""
    request.extra_lines += b"Vary: Accept\r\n"
    accepted = _values(request, b"accept")
    if not any(part.partition(";")[0].strip() == "text/html" for value in accepted for part in value.split(",")):
        return 200, _GREETING, "text/plain; charset=utf-8"
    return _served(request, "index.html", _PAGE_GUARDS)


def asset(_router: Router, request: Request) -> Answer:
    """/paddock/NAME."""
    return _served(request, request.path.removeprefix(PREFIX), GUARDS)


def _served(request: Request, name: str, guards: dict[str, str]) -> Answer:
    file = _file(name)
    # Asked for again each time, and answered in a line: a new release is never mixed with an old one.
    headers = {**guards, "Cache-Control": "no-cache", "ETag": file.tag}
    zipped = any("gzip" in value for value in _values(request, b"accept-encoding"))
    known = any(file.tag in value for value in _values(request, b"if-none-match"))
    if zipped and not known:
        headers["Content-Encoding"] = "gzip"
    headers["Vary"] = "Accept-Encoding"
    request.extra_lines += header_lines(headers.items())
    if known:
        return 304, b"", file.content_type
    return 200, file.zipped if zipped else file.body, file.content_type


def _values(request: Request, name: bytes) -> Iterable[str]:
    return (value.decode("latin-1").lower() for found, value in request.headers if found == name)
