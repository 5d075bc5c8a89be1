"""JSON without blanks, read and written fast: both happen for every request, and for many events of every stream."""

from __future__ import annotations

import json
from typing import Any

import orjson

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode(value: object) -> bytes:
    """JSON in UTF-8; half of a surrogate pair is escaped, which is the one way to write it.

    Raises:
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # numbers beyond 64 bits, halves of characters, deep nesting: all that JSON knows and orjson not
        return _ENCODER.encode(value).encode("ascii")


def decode(data: bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(data)
    except ValueError:  # as above; and a mistake is described better
        return json.loads(data)
