"""The engine's plugin protocol, as the Pulumi SDK carries it, and values as they travel in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands, in a preview, for a value that only an `up` will know."""
MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""The limit of the engine and of the SDK."""

__all__ = [
    "MAX_MESSAGE_BYTES",
    "UNKNOWN",
    "engine_pb2",
    "engine_pb2_grpc",
    "has_unknown",
    "plugin_pb2",
    "properties_from_struct",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
    "struct_from_properties",
]


def properties_from_struct(struct: Any) -> dict[str, Any]:
    """A message's properties as Python values: whole numbers as int, null left out at the top."""
    converted = {name: _from_value(value) for name, value in struct.fields.items()}
    return {name: value for name, value in converted.items() if value is not None}


def struct_from_properties(properties: Mapping[str, Any]) -> Any:
    """Python values as a message's properties."""
    struct = struct_pb2.Struct()
    struct.update({name: value for name, value in properties.items() if value is not None})
    return struct


def has_unknown(value: Any) -> bool:
    """Whether a value is, or holds anywhere, one that is not known yet."""
    if isinstance(value, str):
        return value == UNKNOWN
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return False


def _from_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _from_value(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(value, kind)
