"""Reads values out of what a model wrote: JSON, nearly JSON, and calls in Python's syntax."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import json_repair

_DECODER = json.JSONDecoder(strict=False)
_CLOSING = {"{": "}", "[": "]"}
MAX_CHARS = 50_000
"""How much of a reply is looked at: a call that is longer is none that was written by hand."""


_MOST_TRIES = 64
"""At how many brackets of one text a value is looked for, and how deep they may stand in each other."""


@dataclass(frozen=True)
class Found:
    """A value, and where it stands."""

    value: Any
    start: int
    end: int


@dataclass(frozen=True)
class PythonCall:
    """A call as Python writes it."""

    name: str
    """Dotted where it was: ``functions.get_weather``."""
    positional: list[Any]
    named: dict[str, Any]


def json_values(text: str) -> Iterator[Found]:
    """The objects and lists in a text, outermost ones, with the usual slips mended.

    Mended are single quotes, Python's True and None, trailing commas, keys without quotes, comments, line breaks
    within strings, and brackets that were left open at the end.
    """
    position = 0
    for _ in range(_MOST_TRIES):
        start = _next_bracket(text, position)
        if start is None:
            return
        found = _strict(text, start) or _mended(text, start)
        if found is None:
            position = start + 1
            continue
        yield found
        position = found.end


def _next_bracket(text: str, position: int) -> int | None:
    starts = [at for at in (text.find("{", position), text.find("[", position)) if at >= 0]
    return min(starts) if starts else None


def _strict(text: str, start: int) -> Found | None:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return Found(value, start, end)


def _mended(text: str, start: int) -> Found | None:
    end = _balanced_end(text, start)
    if end is None:
        return None
    piece = text[start:end]
    try:
        return Found(ast.literal_eval(piece), start, end)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    try:
        value = cast("object", json_repair.loads(piece, skip_json_loads=True))
    except (ValueError, RecursionError):
        return None
    # Of prose between brackets json_repair makes something all the same: words without a key or a value.
    return Found(value, start, end) if _says_something(value) else None


def _says_something(value: object) -> bool:
    if isinstance(value, dict):
        return bool(cast("dict[str, object]", value))
    if isinstance(value, list):
        items = cast("list[object]", value)
        return bool(items) and all(isinstance(item, dict) for item in items)
    return False


def _balanced_end(text: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed, or the text's end where it never is; None where it is no value."""
    expected: list[str] = []
    quote = ""
    position = start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character == '"' or (character == "'" and not _apostrophe(text, position)):
            quote = character
        elif character in _CLOSING:
            expected.append(_CLOSING[character])
            if len(expected) > _MOST_TRIES:
                return None
        elif expected and character == expected[-1]:
            expected.pop()
            if not expected:
                return position + 1
        position += 1
    return len(text)


def _apostrophe(text: str, position: int) -> bool:
    """Whether a quote stands between two letters, as in ``don't``."""
    return 0 < position < len(text) - 1 and text[position - 1].isalnum() and text[position + 1].isalnum()


def python_calls(text: str) -> list[PythonCall] | None:
    """The calls that a text consists of: one, one a line, or a list of them. None where it is anything else.

    ``print(f(x))``, ``result = f(x)`` and ``await f(x)`` count as ``f(x)``.
    """
    source = text.strip().rstrip(";,")
    if "(" not in source or len(source) > MAX_CHARS:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls: list[PythonCall] = []
    for statement in tree.body:
        if not isinstance(statement, (ast.Expr, ast.Assign)) or statement.value is None:  # pyright: ignore[reportUnnecessaryComparison]
            return None
        for expression in _elements(statement.value):
            call = _python_call(expression)
            if call is None:
                return None
            calls.append(call)
    return calls or None


def _elements(expression: ast.expr) -> list[ast.expr]:
    return list(expression.elts) if isinstance(expression, (ast.List, ast.Tuple)) else [expression]


def _python_call(expression: ast.expr) -> PythonCall | None:
    if isinstance(expression, ast.Await):
        expression = expression.value
    if not isinstance(expression, ast.Call):
        return None
    name = _dotted(expression.func)
    if name == "print" and len(expression.args) == 1 and not expression.keywords:
        return _python_call(expression.args[0])
    if name is None:
        return None
    try:
        positional = [_literal(argument) for argument in expression.args]
        named = {str(keyword.arg): _literal(keyword.value) for keyword in expression.keywords if keyword.arg}
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    return PythonCall(name, positional, named) if len(named) == len(expression.keywords) else None


def _literal(expression: ast.expr) -> Any:
    # JSON's names, which models mix into Python.
    names = {"true": True, "false": False, "null": None}
    if isinstance(expression, ast.Name) and expression.id in names:
        return names[expression.id]
    return ast.literal_eval(expression)


def _dotted(expression: ast.expr) -> str | None:
    if isinstance(expression, ast.Name):
        return expression.id
    if isinstance(expression, ast.Attribute):
        before = _dotted(expression.value)
        return f"{before}.{expression.attr}" if before else None
    return None
