"""What an answer has to be: text, a pydantic model, or a JSON schema; and schemas that nothing can follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_ai import NativeOutput, StructuredDict, ToolOutput

from agent_runtime.agents.errors import SchemaError

OUTPUT_NAME = "final_result"
_MAX_DEPTH = 64
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


def output_spec(output_type: Any, *, as_tool: bool) -> Any:
    """The output as the agent loop wants it.

    Without tools the schema goes to the server as the reply's format, and the engine's grammar holds the model to it.
    With tools it is one more tool, because engines take either a grammar or tools.

    Args:
        output_type: ``str``, a pydantic model or other type, or a JSON schema.
        as_tool: Whether it is to be a tool.

    Raises:
        SchemaError: no answer can follow it, or it is no type and no schema.
    """
    if output_type is str:
        return str
    if isinstance(output_type, Mapping):
        schema = dict(cast("Mapping[str, Any]", output_type))
        _check(schema)
        if schema.get("type") != "object":
            raise SchemaError(
                f"the answer's schema is of type {schema.get('type')!r}. fix: an object, with the value as a property"
            )
        made: Any = StructuredDict(schema, name=str(schema.get("title", OUTPUT_NAME)))
    else:
        made = output_type
        try:
            _check(TypeAdapter(output_type).json_schema())
        except PydanticUserError as error:
            raise SchemaError(f"{output_type!r} has no JSON schema: {str(error).splitlines()[0]}") from error
    return ToolOutput(made, name=OUTPUT_NAME) if as_tool else NativeOutput(made)


def _check(schema: Mapping[str, Any]) -> None:
    problem = _impossible(schema, schema, "the schema", 0)
    if problem is not None:
        raise SchemaError(f"no answer can follow the schema: {problem}")


def _impossible(schema: Any, root: Mapping[str, Any], where: str, depth: int) -> str | None:
    """Why nothing can follow a schema, or None where something can."""
    if schema is False:
        return f"{where} is false. fix: say what it may be"
    if not isinstance(schema, Mapping):
        return None if schema is True else f"{where} is no schema. fix: an object, such as {{'type': 'string'}}"
    if depth > _MAX_DEPTH:
        return f"{where} contains itself without an end. fix: make the property that refers to it optional"
    data = cast("Mapping[str, Any]", schema)
    if "$ref" in data:
        target = _referred(str(data["$ref"]), root)
        if target is None:
            return f"{where} refers to {data['$ref']!r}, which is not there. fix: define it under $defs"
        return _impossible(target, root, where, depth + 1)
    return _own_problem(data, where) or _inner_problem(data, root, where, depth)


def _own_problem(data: Mapping[str, Any], where: str) -> str | None:
    kind = data.get("type")
    kinds = cast("list[object]", kind if isinstance(kind, list) else [kind])
    if kind is not None and (not kinds or not all(one in _TYPES for one in kinds)):
        return f"{where} has the type {kind!r}. fix: one of {', '.join(_TYPES)}"
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        if key in data and not data[key]:
            return f"{where} has an empty {key}. fix: name at least one"
    for low, high in (
        ("minimum", "maximum"),
        ("minLength", "maxLength"),
        ("minItems", "maxItems"),
        ("minProperties", "maxProperties"),
        ("exclusiveMinimum", "maximum"),
        ("minimum", "exclusiveMaximum"),
    ):
        if low in data and high in data and data[low] > data[high]:
            return f"{where} has {low} {data[low]} above {high} {data[high]}. fix: swap them"
    properties = cast("Mapping[str, Any]", data.get("properties", {}))
    missing = [name for name in cast("list[str]", data.get("required", [])) if name not in properties]
    if missing and data.get("additionalProperties") is False:
        return f"{where} requires {', '.join(missing)}, which it does not allow. fix: add them to its properties"
    return None


def _inner_problem(data: Mapping[str, Any], root: Mapping[str, Any], where: str, depth: int) -> str | None:
    properties = cast("Mapping[str, Any]", data.get("properties", {}))
    for name in cast("list[str]", data.get("required", [])):
        problem = _impossible(properties.get(name, True), root, f"{where}.{name}", depth + 1)
        if problem is not None:
            return problem
    for part in cast("list[Any]", data.get("allOf", [])):
        problem = _impossible(part, root, where, depth + 1)
        if problem is not None:
            return problem
    for key in ("anyOf", "oneOf"):
        problems = [_impossible(part, root, where, depth + 1) for part in cast("list[Any]", data.get(key, []))]
        if problems and all(problems):
            return problems[0]
    if data.get("minItems", 0) > 0 and "items" in data:
        return _impossible(data["items"], root, f"{where}[]", depth + 1)
    return None


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    target: Any = root
    if not reference.startswith("#"):
        return None
    for step in reference.removeprefix("#").split("/"):
        if not step:
            continue
        if not isinstance(target, Mapping) or step not in target:
            return None
        target = cast("Mapping[str, Any]", target)[step]
    return target
