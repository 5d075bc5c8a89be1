"""JSON without blanks, for what is written many times."""

from __future__ import annotations

import json

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode(value: object) -> bytes:
    """JSON in ASCII: what a header, a log or a broken half of a character could not carry is escaped."""
    return _ENCODER.encode(value).encode("ascii")
