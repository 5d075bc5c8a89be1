"""Reads JSON requests and checks the types of their fields, so that a mistake is named before it travels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from agent_runtime.router.dialects.errors import RequestError

NUMBER: Final = (int, float)
"""What a field of JSON type number may be in Python."""
TEXT_OR_LIST: Final = (str, list)

_NAMES: dict[object, str] = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    NUMBER: "a number",
    TEXT_OR_LIST: "a string or a list",
    (str, dict): "a string or an object",
    (bool, str): "true, false or a string",
    (int, float, str): "a number or a string",
}

Kind = type | tuple[type, ...]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_object(body: bytes) -> dict[str, Any]:
    """Read a request's body.

    Raises:
        RequestError: 400, it is empty, not JSON, or not an object.
    """
    value: object
    try:
        value = orjson.loads(body)
    except ValueError:
        value = _decode_slowly(body)
    if not isinstance(value, dict):
        raise RequestError(400, "the request body must be a JSON object")
    return cast("dict[str, Any]", value)


def _decode_slowly(body: bytes) -> object:
    """What the fast decoder does not take: halves of characters, a mark at the beginning, and mistakes."""
    if not body.strip():
        raise RequestError(400, "missing request body")
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the request body is not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        raise RequestError(400, "the request body is nested too deeply") from error
    except ValueError as error:
        raise RequestError(400, f"the request body is not JSON: {error}") from error


def check(value: object, kind: Kind, path: str) -> None:
    """Refuse a value that is not of the kind.

    Raises:
        RequestError: 400, names the field at ``path``, what it must be and what it is.
    """
    if isinstance(value, bool):
        fits = kind is bool or (isinstance(kind, tuple) and bool in kind)
    else:
        fits = isinstance(value, kind)
    if not fits:
        raise RequestError(
            400, f"{path} must be {_NAMES[kind]}, not {_describe(value)}", param=path, code="invalid_type"
        )


def check_fields(body: Mapping[str, Any], kinds: Mapping[str, Kind], prefix: str = "") -> None:
    """Check the fields that are there; null counts as absent.

    Raises:
        RequestError: as for :func:`check`.
    """
    for name, value in body.items():
        kind = kinds.get(name)
        if kind is not None and value is not None:
            check(value, kind, prefix + name)


def objects(value: Any, path: str) -> list[dict[str, Any]]:
    """The list of objects in ``value``; null is an empty list.

    Raises:
        RequestError: 400, it is no list, or an item of it is no object.
    """
    if value is None:
        return []
    check(value, list, path)
    for index, item in enumerate(cast("list[object]", value)):
        check(item, dict, f"{path}[{index}]")
    return cast("list[dict[str, Any]]", value)


def strings(value: Any, path: str) -> list[str]:
    """The list of strings in ``value``; null is an empty list.

    Raises:
        RequestError: 400, it is no list, or an item of it is no string.
    """
    if value is None:
        return []
    check(value, list, path)
    for index, item in enumerate(cast("list[object]", value)):
        check(item, str, f"{path}[{index}]")
    return cast("list[str]", value)


def _describe(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
