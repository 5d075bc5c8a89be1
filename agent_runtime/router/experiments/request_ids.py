"""Ids of requests that say, to the router alone, which arm answered: nothing has to be kept for a vote to find it.

An id is 27 bytes in base64: eight for the alias and the arm, four for the second, seven drawn by chance, eight of a
keyed hash over these, so that nobody can make up ids, or move a vote to the other arm. All workers over the same data
directory share the key.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

_TAG_BYTES: Final = 8
_SECOND_BYTES: Final = 4
_CHANCE_BYTES: Final = 7
_MAC_BYTES: Final = 8
_SIGNED_BYTES: Final = _TAG_BYTES + _SECOND_BYTES + _CHANCE_BYTES
_PREFIX: Final = "pdx-"

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """What an id says."""

    tag: bytes
    """Which alias and arm, by :func:`tag_of`."""
    second: int
    """When the request came, in seconds since 1970."""


def tag_of(alias: str, arm: str) -> bytes:
    """Eight bytes for an alias and one of its arms."""
    return blake2b(f"{alias}\0{arm}".encode(), digest_size=_TAG_BYTES).digest()


def make_id(key: bytes, tag: bytes, now: float) -> str:
    """A new id."""
    signed = tag + int(now).to_bytes(_SECOND_BYTES, "big") + secrets.token_bytes(_CHANCE_BYTES)
    return _written(signed + _mac(key, signed))


def read_id(key: bytes, text: str) -> Origin | None:
    """What an id says; None for what is none of ours."""
    try:
        data = base64.urlsafe_b64decode(text[len(_PREFIX) :])
    except ValueError:
        return None
    signed, mac = data[:_SIGNED_BYTES], data[_SIGNED_BYTES:]
    # Written in another way it would be another request, and have another vote.
    if _written(data) != text or not compare_digest(mac, _mac(key, signed)):
        return None
    return Origin(signed[:_TAG_BYTES], int.from_bytes(signed[_TAG_BYTES : _TAG_BYTES + _SECOND_BYTES], "big"))


def _written(data: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(data).decode("ascii")


def _mac(key: bytes, signed: bytes) -> bytes:
    return blake2b(signed, key=key, digest_size=_MAC_BYTES).digest()
