"""What every translation of an answer has in common: a stream in pieces, or a whole body at once."""

from __future__ import annotations

import struct
from typing import Any, cast

from agent_runtime.router.dialects.compact import decode, encode
from agent_runtime.router.dialects.errors import BadReplyError, Dialect, message_of
from agent_runtime.router.dialects.usage import Usage

_WRONG_TYPES = (TypeError, ValueError, AttributeError, KeyError, OverflowError, struct.error)
"""What reading a field raises that has another type than the engine's API says."""


class ReplyTranslator:
    """Turns one answer of an engine into the client's dialect. Subclasses know the two dialects.

    A stream goes through ``feed`` and ``finish``, an answer in one piece through ``whole``.
    """

    dialect: Dialect
    """The client's."""
    stream_type: bytes
    """The Content-Type of a stream in the client's dialect."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        """The engine's counts, once they are known."""
        self.complete = False
        """Whether the engine has said that the answer is whole."""
        self.failure: str | None = None
        """Why a stream cannot go on: the engine's own error, or what it sent that cannot be read."""

    def feed(self, data: bytes) -> bytes:
        """What to send to the client for the next bytes of a stream, up to a failure. Never raises."""
        if self.failure is not None:
            return b""
        parts: list[bytes] = []
        try:
            for payload in self._split(data):
                if self.complete:
                    break
                parts.append(self._part(payload))
        except BadReplyError as error:
            self.failure = str(error)
        except _WRONG_TYPES as error:
            self.failure = f"the model server's answer is not what its API promises: {error}"
        return b"".join(parts)

    def finish(self) -> bytes:
        """What to send to the client after the last bytes of a stream that ended as HTTP says it should.

        Raises:
            BadReplyError: the engine never said that its answer is whole.
        """
        if self.complete:
            return b""
        try:
            rest = self._end()
        except _WRONG_TYPES as error:
            raise BadReplyError(f"the model server's answer is not what its API promises: {error}") from error
        if not self.complete:
            raise BadReplyError("the model server broke its answer off")
        return rest

    def whole(self, body: bytes) -> bytes:
        """An answer in one piece.

        Raises:
            BadReplyError: it is not what the engine's API promises.
        """
        try:
            return encode(self._whole(decode_reply(body)))
        except _WRONG_TYPES as error:
            raise BadReplyError(f"the model server's answer is not what its API promises: {error}") from error

    def _split(self, data: bytes) -> list[bytes]:
        raise NotImplementedError

    def _part(self, payload: bytes) -> bytes:
        raise NotImplementedError

    def _end(self) -> bytes:
        return b""

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def decode_reply(payload: bytes) -> dict[str, Any]:
    """A line, an event or a body of an engine's.

    Raises:
        BadReplyError: it is no JSON object, or it is an error.
    """
    try:
        value: object = decode(payload)
    except (ValueError, RecursionError) as error:
        raise BadReplyError(f"the model server sent what is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadReplyError("the model server sent JSON that is not an object")
    message = message_of(cast("object", value)) if "error" in value else None
    if message is not None:
        raise BadReplyError(message, cast("dict[str, Any]", value))
    return cast("dict[str, Any]", value)


def section(value: Any) -> dict[str, Any]:
    """``value`` where it is an object, else an empty one: engines leave parts out, or write null."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def sections(value: Any) -> list[dict[str, Any]]:
    """The objects in ``value`` where it is a list."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[object]", value) if isinstance(item, dict)]
