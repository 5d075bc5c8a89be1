"""What a client can ask of a model, and how each engine is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.router.dialects.adapters import scales_for
from agent_runtime.router.dialects.assembly import asked_in_pieces
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import Dialect, RequestError
from agent_runtime.router.dialects.fields import NUMBER, TEXT_OR_LIST, Kind, check_fields, objects
from agent_runtime.router.dialects.hide_usage import HideUsage
from agent_runtime.router.dialects.replies import ReplyTranslator, section
from agent_runtime.router.dialects.replies_to_ollama import without_work
from agent_runtime.router.dialects.stops import with_stops
from agent_runtime.router.dialects.too_long import refuse_certainly_too_long
from agent_runtime.router.dialects.translations import TRANSLATIONS
from fleet_spec.contract import AdapterScale, EngineName

_OLLAMA_FIELDS: dict[str, Kind] = {"stream": bool, "options": dict, "format": (str, dict)}
_OPENAI_FIELDS: dict[str, Kind] = {
    "stream": bool,
    "stream_options": dict,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "max_tokens": int,
    "max_completion_tokens": int,
    "seed": int,
    "n": int,
    "stop": TEXT_OR_LIST,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
}
_KEEP_ALIVE: dict[str, Kind] = {"keep_alive": (int, float, str)}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a client can ask of a model."""

    name: str
    dialect: Dialect
    path: str
    """Where the operation is in the client's dialect, and in an engine of the same."""
    capabilities: tuple[str, ...]
    """What the model must be able to do: any of these."""
    kinds: Mapping[str, Kind]
    """The fields whose types are checked for every engine."""
    streams_by_default: bool = False


CHAT = ("chat", "completion")
EMBEDDING = ("embedding",)

OLLAMA_CHAT = Operation(
    "chat",
    "ollama",
    "/api/chat",
    CHAT,
    {"messages": list, "tools": list, **_OLLAMA_FIELDS, **_KEEP_ALIVE},
    streams_by_default=True,
)
OLLAMA_GENERATE = Operation(
    "generate",
    "ollama",
    "/api/generate",
    CHAT,
    {"prompt": str, "system": str, "images": list, "raw": bool, **_OLLAMA_FIELDS, **_KEEP_ALIVE},
    streams_by_default=True,
)
OLLAMA_EMBED = Operation(
    "embed", "ollama", "/api/embed", EMBEDDING, {"input": TEXT_OR_LIST, "options": dict, **_KEEP_ALIVE}
)
OLLAMA_EMBEDDINGS = Operation(
    "embeddings", "ollama", "/api/embeddings", EMBEDDING, {"prompt": str, "options": dict, **_KEEP_ALIVE}
)
OPENAI_CHAT = Operation(
    "chat",
    "openai",
    "/v1/chat/completions",
    CHAT,
    {"messages": list, "tools": list, "response_format": dict, **_OPENAI_FIELDS},
)
OPENAI_COMPLETIONS = Operation(
    "completions", "openai", "/v1/completions", CHAT, {"prompt": TEXT_OR_LIST, **_OPENAI_FIELDS}
)
OPENAI_EMBEDDINGS = Operation(
    "embeddings", "openai", "/v1/embeddings", EMBEDDING, {"input": TEXT_OR_LIST, "encoding_format": str}
)

OPENAI_RESPONSES = Operation(
    "responses",
    "openai",
    "/v1/responses",
    CHAT,
    {
        "input": TEXT_OR_LIST,
        "instructions": str,
        "tools": list,
        "stream": bool,
        "temperature": NUMBER,
        "top_p": NUMBER,
        "max_output_tokens": int,
    },
)
"""Passed on as it is: every engine has it, and none of them can be asked for it in other words."""

OPERATIONS: dict[str, Operation] = {
    operation.path: operation
    for operation in (
        OLLAMA_CHAT,
        OLLAMA_GENERATE,
        OLLAMA_EMBED,
        OLLAMA_EMBEDDINGS,
        OPENAI_CHAT,
        OPENAI_COMPLETIONS,
        OPENAI_EMBEDDINGS,
        OPENAI_RESPONSES,
    )
}


@dataclass(slots=True)
class Call:
    """How a model server is asked."""

    path: str
    body: bytes
    streamed: bool
    translator: Callable[[], ReplyTranslator] | None = None
    """Makes what translates one answer. None: it goes to the client as it is."""
    ignored: list[str] = field(default_factory=list[str])
    """What the client asked for and this engine cannot do."""
    in_pieces: bool = False
    """Whether the engine is asked for a stream although the client wants the answer whole."""


def engine_dialect(engine: EngineName) -> Dialect:
    """The language of an engine's own API."""
    return "ollama" if engine == "ollama" else "openai"


def requested_model(operation: Operation, body: Mapping[str, Any]) -> str:
    """Check a request's fields, and give the name of the model that it asks for.

    Raises:
        RequestError: 400, there is no name, or a field has the wrong type.
    """
    name: object = body.get("model")
    if name is None or name == "":
        raise RequestError(400, "model is required", param="model", code="missing_model")
    check_fields(body, {"model": str})
    check_fields(body, operation.kinds)
    if "messages" in operation.kinds:
        objects(body.get("messages"), "messages")
        if operation.dialect == "openai" and not body.get("messages"):
            raise RequestError(400, "messages is required and must not be empty", param="messages")
    return str(name)


def answer_without_work(operation: Operation, body: Mapping[str, Any], engine: EngineName) -> dict[str, Any] | None:
    """The answer to a request that only loads or unloads a model, where the engine knows no such thing.

    Nothing to embed is such a request too.
    """
    if engine == "ollama" or operation.dialect != "ollama":
        return None
    if operation is OLLAMA_EMBED:
        return None if body.get("input") else {"model": body["model"], "embeddings": []}
    if operation is OLLAMA_EMBEDDINGS:
        return None if body.get("prompt") else {"embedding": []}
    chat = operation is OLLAMA_CHAT
    if body.get("messages") if chat else body.get("prompt"):
        return None
    return without_work(body["model"], chat=chat, unload=is_zero_duration(body.get("keep_alive")))


def plan(
    operation: Operation,
    raw: bytes,
    body: Mapping[str, Any],
    *,
    engine: EngineName,
    engine_model: str,
    context_length: int,
    stops: Sequence[str] = (),
    lora: Sequence[AdapterScale] = (),
) -> Call:
    """How to ask an engine for what the client asked for.

    Args:
        operation: What is asked.
        raw: What ``body`` was decoded from; passed on where nothing in it has to change.
        body: The request.
        engine: Which API the engine speaks.
        engine_model: What the engine calls the model.
        context_length: What one request may use, in tokens.
        stops: Texts at which the model's replies end, whatever the request says.
        lora: The scale of every adapter that llama.cpp holds beside the model.

    Raises:
        RequestError: 400, the request cannot be said in the engine's dialect.
    """
    stream: object = body.get("stream")
    streamed = operation.streams_by_default if stream is None else bool(stream)
    cuts = engine == "ollama" and operation.dialect == "ollama"
    refuse_certainly_too_long(operation.dialect, raw, body, context_length, cuts=cuts)
    asked = with_stops(operation.dialect, body, stops)
    if asked is not body:
        body, raw = asked, b""
    scales = scales_for(engine, body, lora)
    if engine_dialect(engine) == operation.dialect or operation is OPENAI_RESPONSES:
        if scales:
            body, raw = {**body, **scales}, b""
        return _same_dialect(operation, raw, body, streamed, engine, engine_model)
    model = str(body["model"])
    path, translation, translator = TRANSLATIONS[operation.path](
        body, engine, context_length, model, _wants_usage(body)
    )
    content = {"model": engine_model, **translation.body, **scales}
    pieces = None if streamed else asked_in_pieces(engine, path, content)
    return Call(path, encode(pieces or content), streamed, translator, translation.ignored, pieces is not None)


def _same_dialect(
    operation: Operation,
    raw: bytes,
    body: Mapping[str, Any],
    streamed: bool,
    engine: EngineName,
    engine_model: str,
) -> Call:
    changed = not raw or body["model"] != engine_model
    if changed:
        body = {**body, "model": engine_model}
    translator: Callable[[], ReplyTranslator] | None = None
    # llama.cpp tells its counts at the end of every stream; the others only where they are asked to.
    if streamed and engine in ("vllm", "openai") and operation is not OPENAI_RESPONSES and not _wants_usage(body):
        body = {**body, "stream_options": {**section(body.get("stream_options")), "include_usage": True}}
        changed = True
        translator = HideUsage
    pieces = None if streamed else asked_in_pieces(engine, operation.path, body)
    if pieces is not None:
        return Call(operation.path, encode(pieces), streamed, in_pieces=True)
    return Call(operation.path, encode(body) if changed else raw, streamed, translator)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    return section(body.get("stream_options")).get("include_usage") is True


def is_zero_duration(keep_alive: object) -> bool:
    """Whether a duration of Ollama's, a number of seconds or text such as "0s", is nothing."""
    if isinstance(keep_alive, str):
        return keep_alive.rstrip("hmsuµn") in ("0", "0.0")
    return keep_alive == 0 and keep_alive is not False and keep_alive is not None
