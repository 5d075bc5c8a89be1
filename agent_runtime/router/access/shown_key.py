"""Finds the key among a request's headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agent_runtime.router.dialects.errors import RequestError

LONGEST_KEY_BYTES: Final = 4096

_KEY_HEADERS: Final = frozenset({b"authorization", b"api-key", b"x-api-key"})


def shown_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key that a request shows, or None where it shows none.

    ``Authorization: Bearer KEY`` is what clients of OpenAI's API send, ``api-key`` those of Azure's, ``x-api-key``
    those of Anthropic's. The same key may come in several of them; another scheme of Authorization shows none.

    Args:
        headers: names in lower case.

    Raises:
        RequestError: 401, there are two Authorization headers or two different keys, or one is too long.
    """
    found: bytes | None = None
    authorized = False
    for name, value in headers:
        if name not in _KEY_HEADERS:
            continue
        if name == b"authorization":
            if authorized:
                raise unusable("two Authorization headers came; send one")
            authorized = True
            key = _bearer(value)
        else:
            key = value.strip()
        if not key:
            continue
        if found is not None and key != found:
            raise unusable("two different keys came in one request; send one")
        if len(key) > LONGEST_KEY_BYTES:
            raise unusable(f"the key is longer than {LONGEST_KEY_BYTES} bytes")
        found = key
    return found


def unusable(message: str, *, status: int = 401, code: str = "invalid_api_key") -> RequestError:
    """A refusal that tells the client to come back with a key (RFC 6750, section 3). It never repeats one."""
    error = RequestError(status, message, code=code)
    error.headers["WWW-Authenticate"] = 'Bearer realm="paddock"'
    return error


def _bearer(value: bytes) -> bytes:
    if value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return b""
