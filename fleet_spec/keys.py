"""The keys that clients of a router show: how one is made, known again, and kept as a hash.

A key is ``pdk_``, 43 characters of base 62 that hold 256 random bits, and 6 characters of base 62 that hold
the CRC-32 of what stands before them. The prefix and the checksum let scanners of code and of prompts tell a
key from any other run of letters with no list of keys at hand. GitHub's tokens are built the same way:
https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib

KEY_PREFIX = "pdk_"
KEY_PATTERN = r"pdk_[0-9A-Za-z]{49}"
"""What a key looks like inside a text. :func:`looks_like_key` tells whether its checksum holds too."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BITS = 256
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_WHOLE = re.compile(KEY_PATTERN)


def new_key() -> str:
    """A key that was never there before, from the operating system's source of random bits."""
    body = KEY_PREFIX + _base62(secrets.randbits(_RANDOM_BITS), _RANDOM_CHARACTERS)
    return body + _checksum(body)


def hash_of(key: str) -> str:
    """What is kept of a key: ``sha256:`` and the hash of the whole key in hexadecimal digits.

    It is plain SHA-256 with no salt, because 256 random bits can be neither guessed nor tabled.
    """
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def looks_like_key(text: str) -> bool:
    """Whether a text is, as a whole, a key of Paddock's: its prefix, its length, and a checksum that holds."""
    return (
        _WHOLE.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_CHARACTERS]) == text[-_CHECKSUM_CHARACTERS:]
    )


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def _base62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
