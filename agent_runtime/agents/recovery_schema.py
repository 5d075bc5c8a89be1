"""Holds what a model wrote against the tools that there are: their names, their parameters, their types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent_runtime.agents.recovery_values import PythonCall

Schema = Mapping[str, Any]
Tools = Mapping[str, Schema]
"""The tools' names, and the JSON schemas of their parameters."""

_NAME_KEYS = ("name", "tool_name", "function_name", "tool", "function", "action", "recipient_name", "api", "api_name")
_ARGUMENT_KEYS = (
    "arguments",
    "parameters",
    "args",
    "params",
    "input",
    "tool_input",
    "action_input",
    "tool_arguments",
    "tool_args",
    "kwargs",
)
_WRAPPERS = ("function", "function_call", "tool_call", "tool_calls", "tool_uses", "call")
_PREFIX = re.compile(r"^(?:(?:functions?|tools?|default_api|api|assistant|mcp)\s*[.:/]\s*|call:)+", re.IGNORECASE)
_SUFFIX = re.compile(r"(?::\d*|\(\)|\.call)$")


@dataclass(frozen=True)
class RecoveredCall:
    """A call that was written as text."""

    name: str
    arguments: dict[str, Any]


def resolve_name(written: object, tools: Tools) -> str | None:
    """The tool that is meant: prefixes such as ``functions.``, case, hyphens and blanks do not count."""
    if not isinstance(written, str):
        return None
    bare = _SUFFIX.sub("", _PREFIX.sub("", written.strip().strip("`'\"")))
    if bare in tools:
        return bare
    matches = [name for name in tools if _folded(name) == _folded(bare)]
    return matches[0] if len(matches) == 1 else None


def calls_of(value: object, tools: Tools, *, depth: int = 0) -> list[RecoveredCall] | None:
    """The calls that a JSON value stands for, or None where it is no call of any of the tools."""
    if depth > 3:
        return None
    if isinstance(value, list):
        items = cast("list[object]", value)
        found = [calls_of(item, tools, depth=depth + 1) for item in items]
        return [call for calls in found for call in calls or []] if found and all(found) else None
    if not isinstance(value, dict):
        return None
    data = cast("dict[str, Any]", value)
    for key in _WRAPPERS:
        if isinstance(data.get(key), (dict, list)) and (calls := calls_of(data[key], tools, depth=depth + 1)):
            return calls
    call = _named_call(data, tools) or _keyed_call(data, tools)
    return [call] if call is not None else None


def _named_call(data: Mapping[str, Any], tools: Tools) -> RecoveredCall | None:
    for name_key in _NAME_KEYS:
        name = resolve_name(data.get(name_key), tools)
        if name is None:
            continue
        for key in _ARGUMENT_KEYS:
            if key in data:
                arguments = fitted(data[key], tools[name])
                return RecoveredCall(name, arguments) if arguments is not None else None
        rest = {key: item for key, item in data.items() if key not in (name_key, "type", "id")}
        arguments = fitted(rest, tools[name])
        return RecoveredCall(name, arguments) if arguments is not None else None
    return None


def _keyed_call(data: Mapping[str, Any], tools: Tools) -> RecoveredCall | None:
    """``{"get_weather": {"city": "Paris"}}``"""
    if len(data) != 1:
        return None
    written, arguments = next(iter(data.items()))
    name = resolve_name(written, tools)
    fitting = fitted(cast("object", arguments), tools[name]) if name and isinstance(arguments, dict) else None
    return RecoveredCall(name, fitting) if name is not None and fitting is not None else None


def call_of_python(written: PythonCall, tools: Tools) -> RecoveredCall | None:
    """The call that Python's syntax stands for; positional arguments go by the parameters' order."""
    name = resolve_name(written.name, tools)
    if name is None:
        return None
    parameters = list(_properties(tools[name]))
    first: object = written.positional[0] if len(written.positional) == 1 else None
    if isinstance(first, dict) and not written.named:
        given = fitted(cast("object", first), tools[name])
        if given is not None:
            return RecoveredCall(name, given)
    if len(written.positional) > len(parameters):
        return None
    arguments = fitted({**dict(zip(parameters, written.positional, strict=False)), **written.named}, tools[name])
    return RecoveredCall(name, arguments) if arguments is not None else None


def fitted(arguments: object, schema: Schema) -> dict[str, Any] | None:
    """The arguments in the types that the schema wants, or None where they do not fit it.

    They fit where every required parameter is there, none is unknown, and each can be taken for its type: models write
    numbers and whole objects as text.
    """
    if isinstance(arguments, str):
        arguments = _from_text(arguments, schema)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        return None
    given = cast("dict[str, Any]", arguments)
    properties = _properties(schema)
    required = cast("list[str]", schema.get("required", []))
    open_ended = bool(schema.get("additionalProperties"))
    folded = {_folded(name): name for name in properties}
    result: dict[str, Any] = {}
    for key, value in given.items():
        name = key if key in properties else folded.get(_folded(str(key)), key)
        if name not in properties and not open_ended:
            return None
        if value is None and name not in required:
            continue
        fitting, made = _as_type(value, properties.get(name, {}))
        if not fitting:
            return None
        result[name] = made
    return result if all(name in result for name in required) else None


def _from_text(text: str, schema: Schema) -> object:
    """Arguments that were written as JSON text, or as the one thing that a tool wants."""
    try:
        value: object = json.loads(text)
        if isinstance(value, str):
            value = json.loads(value)
    except ValueError:
        value = text
    if isinstance(value, dict):
        return cast("object", value)
    if not text.strip():
        return {}
    properties = _properties(schema)
    wanted = cast("list[str]", schema.get("required", [])) or list(properties)
    return {wanted[0]: value if properties[wanted[0]].get("type") != "string" else text} if len(wanted) == 1 else None


def _as_type(value: Any, schema: Schema) -> tuple[bool, Any]:
    """Whether a value can be taken for what a schema says, and what it then is."""
    choices = cast("list[Schema]", schema.get("anyOf") or schema.get("oneOf") or [])
    if choices:
        made = [_as_type(value, choice) for choice in choices]
        return next((one for one in made if one[0]), (False, value))
    if "enum" in schema:
        return value in schema["enum"], value
    kind = schema.get("type")
    if kind == "string":
        return (True, value) if isinstance(value, str) else (not isinstance(value, (dict, list)), _written(value))
    if kind in ("integer", "number"):
        return _as_number(value, whole=kind == "integer")
    if kind == "boolean":
        words = {"true": True, "false": False}
        made_flag = words.get(str(value).strip().lower())
        return made_flag is not None, made_flag
    if kind in ("array", "object"):
        made_value = _decoded(value)
        return isinstance(made_value, list if kind == "array" else dict), made_value
    return True, value


def _as_number(value: Any, *, whole: bool) -> tuple[bool, Any]:
    if isinstance(value, bool):
        return False, value
    if isinstance(value, str):
        try:
            value = float(value.strip()) if not value.strip().lstrip("-").isdigit() else int(value.strip())
        except ValueError:
            return False, value
    if not isinstance(value, (int, float)):
        return False, value
    if whole and isinstance(value, float):
        return (True, int(value)) if value.is_integer() else (False, value)
    return True, value


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _written(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) or value is None else str(value)


def _properties(schema: Schema) -> dict[str, Schema]:
    return cast("dict[str, Schema]", schema.get("properties", {}))


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
