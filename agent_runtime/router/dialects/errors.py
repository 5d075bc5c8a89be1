"""Errors in the client's own dialect, and the message inside an engine's error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from agent_runtime.router.dialects.compact import decode, encode

Dialect = Literal["ollama", "openai"]

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class RequestError(Exception):
    """A request that is refused. Its text goes to the client, in the client's dialect."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        """The field of the request that is wrong."""
        self.code = code
        self.headers: dict[str, str] = {}
        """Headers that go with the refusal, such as Retry-After."""


class BadReplyError(Exception):
    """An engine's answer that cannot be read: broken off, not JSON, or an error in the middle of a stream."""

    def __init__(self, message: str, reply: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reply: Mapping[str, Any] = reply or {}
        """What the error came in, where there was more than the error."""


def error_fields(
    dialect: Dialect, status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    if dialect == "ollama":
        return {"error": message}
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_body(
    dialect: Dialect, status: int, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """The body of an error, as JSON."""
    return encode(error_fields(dialect, status, message, param=param, code=code))


def stream_error(dialect: Dialect, message: str) -> bytes:
    """An error in the middle of a stream: a line, or an event. Nothing may follow it."""
    body = error_body(dialect, 502, message, code=None if dialect == "ollama" else "upstream_error")
    return body + b"\n" if dialect == "ollama" else b"data: " + body + b"\n\n"


def message_of(error: object) -> str | None:
    """The text of a decoded error of either dialect, or None where there is no error in it."""
    if not isinstance(error, dict):
        return None
    inner: object = cast("dict[str, object]", error).get("error")
    if isinstance(inner, str):
        return inner
    if isinstance(inner, dict):
        message: object = cast("dict[str, object]", inner).get("message")
        return message if isinstance(message, str) else json.dumps(inner)
    return None


def message_in(body: bytes, status: int) -> str:
    """The text of an engine's error body, whatever shape it has."""
    decoded: object = None
    with contextlib.suppress(ValueError, RecursionError):
        decoded = decode(body)
    found = message_of(decoded)
    if found is None and isinstance(decoded, dict):
        # vLLM's older servers, and what its framework says itself.
        fields = cast("dict[str, object]", decoded)
        found = next((text for name in ("message", "detail") if isinstance(text := fields.get(name), str)), None)
    if found is not None:
        return found
    text = body[:500].decode("utf-8", "replace").strip()
    return text or f"the model server answered {status} without a reason"
