"""The inputs of a resource type as a table: checking them, filling in defaults, comparing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from components.local.provider.protocol import UNKNOWN, has_unknown
from components.local.provider.resource import Change, Failure

Kind = Literal["string", "integer", "number", "boolean", "strings", "string map", "map"]


@dataclass(frozen=True)
class Field:
    """One input."""

    kind: Kind
    required: bool = False
    default: Any = None
    """Filled in where nothing is given; None fills in nothing."""
    minimum: float | None = None
    replaces: bool = False
    """Whether a change means another resource, not this one changed."""
    compared: bool = True
    """Whether a change means anything at all."""


Fields = Mapping[str, Field]


def check_fields(fields: Fields, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    """Check what was given and fill in defaults. Values that are not known yet pass.

    Returns:
        The inputs, and everything that is wrong with them.
    """
    failures = [
        Failure(name, f"is no input of this resource. It takes: {', '.join(sorted(fields))}")
        for name in given
        if name not in fields and not name.startswith("__")  # the engine's own
    ]
    inputs: dict[str, Any] = {}
    for name, field in fields.items():
        value = given.get(name, field.default)
        if value is None:
            if field.required:
                failures.append(Failure(name, "is missing"))
            continue
        inputs[name] = value
        if not has_unknown(value):
            failures.extend(_problems(name, field, value))
    return inputs, failures


def changed_fields(fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """The inputs that differ. One that is not known yet counts as changed."""
    changes: dict[str, Change] = {}
    for name, field in fields.items():
        before = old.get(name, field.default)
        after = new.get(name, field.default)
        if field.compared and (before != after or has_unknown(after)):
            changes[name] = Change("replace" if field.replaces else "update", of_input=True)
    return changes


def known(inputs: Mapping[str, Any], name: str) -> Any:
    """An input's value, or None where it is absent or not known yet."""
    value = inputs.get(name)
    return None if has_unknown(value) else value


def unknown_outputs(*names: str) -> dict[str, Any]:
    """Outputs that a preview cannot know."""
    return dict.fromkeys(names, UNKNOWN)


def _problems(name: str, field: Field, value: Any) -> list[Failure]:
    if not _fits(field.kind, value):
        return [Failure(name, f"is {type(value).__name__}, not {field.kind}")]
    if field.minimum is not None and value < field.minimum:
        return [Failure(name, f"is {value!r}; the least it may be is {field.minimum:g}")]
    if field.required and value in ("", []):
        return [Failure(name, "is empty")]
    return []


def _fits(kind: Kind, value: Any) -> bool:
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value))
    if kind == "string map":
        return isinstance(value, dict) and all(isinstance(item, str) for item in cast("dict[str, Any]", value).values())
    if kind == "boolean":
        return isinstance(value, bool)
    types: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "map": (dict,)}
    return isinstance(value, types[kind]) and not isinstance(value, bool)
