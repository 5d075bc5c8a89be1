"""JSON without blanks, for what is written many times."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode(value: object) -> bytes:
    """JSON in ASCII: what a header, a log or a broken half of a character could not carry is escaped."""
    return _ENCODER.encode(value).encode("ascii")


def quote(text: str) -> bytes:
    """A string as JSON in ASCII, for templates that are filled in for every token."""
    return encode_basestring_ascii(text).encode("ascii")
