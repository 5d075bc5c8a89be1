"""What can go wrong with an Ollama server, told apart by what to do about it."""

from __future__ import annotations

import json

import httpx
from ollama import RequestError, ResponseError
from pydantic import ValidationError

from fleet_spec.errors import BadInputError, PaddockError

_HTTP_NOT_FOUND = 404
_HTTP_TIMED_OUT = (408, 504)
_HTTP_OVERLOADED = (429, 502, 503)
_HTTP_CLIENT_ERRORS = range(400, 500)
_OUT_OF_MEMORY = ("out of memory", "more system memory", "insufficient memory", "cudamalloc", "failed to allocate")
_OVERLOADED = ("server busy", "overloaded", "too many requests", "maximum pending requests")
_CORRUPT = ("digest mismatch", "filesystem corruption")
_NOT_FOUND = ("not found", "no such model", "file does not exist")


class OllamaError(PaddockError):
    """Anything that goes wrong with an Ollama server."""


class OllamaUnreachableError(OllamaError):
    """Nobody answers at the address."""


class OllamaNotFoundError(OllamaError):
    """The server does not have the model."""


class OllamaOverloadedError(OllamaError):
    """The server has too much to do. The same request may work later."""


class OllamaOutOfMemoryError(OllamaError):
    """The server has not enough memory for the model or the context."""


class OllamaTimeoutError(OllamaError):
    """The server did not answer in time."""


class OllamaCutOffError(OllamaError):
    """A reply or a download broke off before its end. What came until then is no whole answer."""


class OllamaRefusedError(OllamaError, BadInputError):
    """The server will not do what it was asked: an option, a tool or a key that it does not take."""

    exit_code = BadInputError.exit_code


class OllamaProtocolError(OllamaError):
    """What came is not what it has to be: no JSON, without fields of Ollama's API, or weights of another hash."""


def translated(error: Exception, url: str, what: str, *, pieces: int = 0) -> Exception:
    """The error as this package tells it; one that is none of the server's comes back as it is.

    Args:
        error: What the client library raised.
        url: The server's.
        what: What was asked of it, such as ``chat with gemma3:270m``.
        pieces: How many pieces of a stream had come by then.
    """
    asked = f"{what} at {url}"
    if isinstance(error, ResponseError):
        return _refused(error, asked, pieces)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError)):
        return OllamaUnreachableError(f"no Ollama answers at {url}. fix: `paddock up`, or `ollama serve`")
    if isinstance(error, httpx.TimeoutException):
        return OllamaTimeoutError(f"{asked} did not answer in time. fix: allow more with timeout_seconds")
    if isinstance(error, httpx.TransportError) or (pieces and isinstance(error, json.JSONDecodeError)):
        return OllamaCutOffError(f"{asked} broke off after {pieces} pieces: {error or type(error).__name__}")
    if isinstance(error, (json.JSONDecodeError, ValidationError, RequestError, httpx.HTTPError)):
        return OllamaProtocolError(f"{asked} gave what is no reply of Ollama's API: {str(error).splitlines()[0]}")
    return error


def cut_off(url: str, what: str, pieces: int) -> OllamaCutOffError:
    """A stream that ended without saying that it had."""
    return OllamaCutOffError(f"{what} at {url} broke off after {pieces} pieces, without an end")


def _refused(error: ResponseError, asked: str, pieces: int) -> OllamaError:
    said = str(error.error).strip() or "no reason"
    text, status = said.lower(), error.status_code
    message = f"{asked}: {said}"
    if any(word in text for word in _OUT_OF_MEMORY):
        return OllamaOutOfMemoryError(f"{message}. fix: a smaller model or context, or another machine")
    if status in _HTTP_OVERLOADED or any(word in text for word in _OVERLOADED):
        return OllamaOverloadedError(f"{message}. fix: ask again later, or add replicas")
    if status == _HTTP_NOT_FOUND or any(word in text for word in _NOT_FOUND):
        return OllamaNotFoundError(f"{message}. fix: pull it with `paddock models pull`")
    if any(word in text for word in _CORRUPT):
        return OllamaProtocolError(f"{message}. fix: see what the registry, or a proxy before it, really sends")
    if status in _HTTP_TIMED_OUT:
        return OllamaTimeoutError(message)
    if pieces:
        return OllamaCutOffError(f"{message}, after {pieces} pieces")
    if status in _HTTP_CLIENT_ERRORS:
        return OllamaRefusedError(message)
    return OllamaError(message)
