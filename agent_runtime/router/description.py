"""The router's API in OpenAPI's words, made from the tables that the router itself goes by.

``python -m agent_runtime.router.description`` prints it; docs/reference/router.openapi.json is what it printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from agent_runtime.router.administration import ADMIN_METHODS, BLOBS, WITH_PROGRESS
from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.dialects.fields import Kind
from agent_runtime.router.dialects.operations import OPERATIONS, Operation
from agent_runtime.router.local import LOCAL
from agent_runtime.router.own_paths import OWN_PATHS
from agent_runtime.router.page.files import ASSET_PATHS

_JSON: Final = "application/json"
_TYPES: Final[dict[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}
_STREAMS: Final[dict[Dialect, str]] = {"ollama": "application/x-ndjson", "openai": "text/event-stream"}
_REFUSALS: Final = (400, 401, 403, 404, 405, 408, 413, 429, 502, 503, 504)
"""What any request may be answered with in place of what it asked for: see docs/router.md."""
_MEANT_FOR_ADMINISTRATION: Final = (409, 501)
"""What the stack holds, and a fleet without an Ollama."""
_TURN: Final = {
    "type": "object",
    "properties": {"role": {"type": "string"}, "content": {"type": ["string", "array", "null"]}},
    "required": ["role"],
}
_ERRORS: Final[dict[Dialect, dict[str, Any]]] = {
    "ollama": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
    "openai": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": ["string", "null"]},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "integer", "null"]},
                },
                "required": ["message", "type", "param", "code"],
            }
        },
        "required": ["error"],
    },
}
_ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "/api/chat": ("model", "created_at", "message", "done"),
    "/api/generate": ("model", "created_at", "response", "done"),
    "/api/embed": ("model", "embeddings"),
    "/api/embeddings": ("embedding",),
    "/v1/chat/completions": ("id", "object", "created", "model", "choices"),
    "/v1/completions": ("id", "object", "created", "model", "choices"),
    "/v1/embeddings": ("object", "data", "model"),
}
"""The fields that every whole answer has."""
_SUMMARIES: Final = {
    "/": "Says that an Ollama-compatible server is running; the page, to a browser",
    "/api/version": "The version that clients of Ollama's take the router for",
    "/api/tags": "The models and aliases, as Ollama lists them",
    "/api/ps": "The models that are loaded, at all Ollama endpoints",
    "/api/show": "What a model is and can do",
    "/v1/models": "The models and aliases, as OpenAI lists them",
    "/v1/models/{model}": "One of them",
    "/healthz": "Whether the process lives",
    "/readyz": "Whether it can answer, and what is wrong",
    "/metrics": "For Prometheus",
    "/api/paddock/status": "The fleet as the router sees it now",
    "/api/paddock/costs": "What was spent, on what, by whom",
    "/api/paddock/experiments": "A/B tests and how their arms do",
    "/api/paddock/experiments/scores": "Scores of answers, from a judge",
    "/api/paddock/feedback": "A user's word on an answer",
}


def openapi() -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        paths[operation.path] = {"post": _question(operation)}
    for path in LOCAL:
        if path not in ASSET_PATHS:
            paths[path] = {"get": _own(path)}
    paths["/v1/models/{model}"] = {"get": {**_own("/v1/models/{model}"), "parameters": [_in_path("model")]}}
    paths["/api/ps"] = {"get": _own("/api/ps")}
    shown = {"type": "object", "properties": {"model": {"type": "string"}}, "required": ["model"]}
    paths["/api/show"] = {"post": {**_own("/api/show"), "requestBody": _body(shown)}}
    for path, own in OWN_PATHS.items():
        paths[path] = {own.method.lower(): _own(path, scope=own.scope)}
    for path, method in ADMIN_METHODS.items():
        paths[path] = {method.lower(): _change(path)}
    blob = {**_change(f"{BLOBS}{{digest}}"), "parameters": [_in_path("digest")]}
    look = {name: value for name, value in blob.items() if name != "requestBody"}
    paths[f"{BLOBS}{{digest}}"] = {"head": look, "post": blob}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paddock's router",
            "version": "1",
            "description": "Ollama's API below /api and OpenAI's below /v1, for the models of a fleet and its tiers.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "responses": {
                dialect: {"description": "Refused, in the client's dialect", "content": {_JSON: {"schema": schema}}}
                for dialect, schema in _ERRORS.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _question(operation: Operation) -> dict[str, Any]:
    """A request to a model."""
    properties = {"model": {"type": "string"}, **{name: _field(kind) for name, kind in operation.kinds.items()}}
    required = ["model"]
    if operation.path == "/v1/chat/completions":
        properties["messages"] = {"type": "array", "items": _TURN, "minItems": 1}
        required.append("messages")
    elif "messages" in properties:
        properties["messages"] = {"type": ["array", "null"], "items": _TURN}
    schema = {"type": "object", "properties": properties, "required": required}
    fields = _ANSWERS.get(operation.path)
    whole: dict[str, Any] = {"type": "object"}
    if fields is not None:
        whole["required"] = [*fields]
    content: dict[str, Any] = {_JSON: {"schema": whole}}
    if "stream" in operation.kinds:
        content[_STREAMS[operation.dialect]] = {"schema": {}}
    return {
        "summary": f"{operation.name}, as {operation.dialect.replace('openai', 'OpenAI').replace('ollama', 'Ollama')}",
        "requestBody": _body(schema),
        "responses": {"200": {"description": "The answer", "content": content}, **_refusals(operation.dialect)},
    }


def _own(path: str, *, scope: str = "") -> dict[str, Any]:
    """What the router answers by itself."""
    text = path in ("/", "/metrics")
    content = {"*/*": {"schema": {"type": "string"}}} if text else {_JSON: {"schema": {"type": ["object", "array"]}}}
    responses = {"200": {"description": "The answer", "content": content}, **_refusals(dialect_of(path))}
    if path == "/readyz":
        responses["503"] = {"description": "It cannot", "content": content}
    made = {"summary": _SUMMARIES[path], "responses": responses}
    return {**made, "description": f"Where keys are asked for, one with the scope {scope}."} if scope else made


def _change(path: str) -> dict[str, Any]:
    """A change of what the fleet's Ollama servers hold."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in ("model", "source", "destination")}}
    sent = _body(schema)
    if path.startswith(BLOBS):
        sent = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    told: dict[str, Any] = {"description": "Done"}
    if path in WITH_PROGRESS:
        told["content"] = {_JSON: {"schema": {}}, _STREAMS["ollama"]: {"schema": {}}}
    done = dict.fromkeys(("200", "201") if path.startswith(BLOBS) else ("200",), told)
    return {
        "summary": "A change at the fleet's Ollama servers, or at the one that X-Paddock-Endpoint names",
        "description": "Where keys are asked for, one with the scope admin. What belongs to the stack stays: 409.",
        "requestBody": sent,
        "responses": {**done, **_refusals("ollama", more=_MEANT_FOR_ADMINISTRATION)},
    }


def dialect_of(path: str) -> Dialect:
    """In whose words a path's errors are."""
    return "openai" if path.startswith("/v1") else "ollama"


def _refusals(dialect: Dialect, more: tuple[int, ...] = ()) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{dialect}"} for status in sorted({*_REFUSALS, *more})}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _field(kind: Kind) -> dict[str, Any]:
    """A field whose type is checked; null stands for one that is left out."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = {_TYPES[one] for one in kinds} - ({"integer"} if float in kinds else set())
    return {"type": [*sorted(names), "null"]}


def text() -> str:
    """The description as JSON for a file."""
    return json.dumps(openapi(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
