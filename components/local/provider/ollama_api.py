"""The few calls of Ollama's HTTP API that keep one model in a server's store as it should be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from components.local.provider.resource import Session
from fleet_spec.errors import PaddockError

_QUICK_SECONDS = 10.0
_SILENCE_SECONDS = 300.0
"""Ollama writes a line at least every minute while it works; a disk under load may make it late."""
_LOAD_SECONDS = 600.0
_CHUNK_BYTES = 1024 * 1024


class OllamaError(PaddockError):
    """What an Ollama server did not do."""


class OllamaUnreachableError(OllamaError):
    """A server that does not answer."""


class OllamaApi:
    """One server. Every method raises :class:`OllamaUnreachableError` where it does not answer, and
    :class:`OllamaError` with the server's own words where it refuses."""

    def __init__(self, url: str, session: Session, *, quick_seconds: float = _QUICK_SECONDS) -> None:
        """Make a client of the server at ``url``; ``quick_seconds`` is the limit of calls that do no work."""
        self._url = url.rstrip("/")
        self._session = session
        self._quick_seconds = quick_seconds

    def show(self, model: str) -> dict[str, Any] | None:
        """What the server knows of a model, or None where it has none of that name."""
        response = self._call("POST", "/api/show", {"model": model}, self._quick_seconds)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        return self._accepted(response).json()

    def digest(self, model: str) -> str | None:
        """The hash of a model's manifest: it changes whenever the model does."""
        answer = self._accepted(self._call("GET", "/api/tags", None, self._quick_seconds)).json()
        listed: list[dict[str, Any]] = answer["models"] or []
        wanted = {model, f"{model}:latest"}
        return next((str(one["digest"]) for one in listed if one["model"] in wanted), None)

    def pull(self, tag: str) -> None:
        """Fetch a model into the store, showing bytes, speed and the time left."""
        progress = PullProgress(tag, time.monotonic)
        for line in self._stream("/api/pull", {"model": tag}):
            self._session.status(progress.describe(line))

    def create(self, model: str, definition: Mapping[str, Any]) -> None:
        """Make a model from blobs that the store has, or from another model (``from``)."""
        for line in self._stream("/api/create", {"model": model, **definition}):
            self._session.status(f"creating {model}: {line.get('status', '')}")

    def upload(self, path: Path, digest: str) -> None:
        """Put a file into the store under its hash, unless it is there already.

        Args:
            path: The file.
            digest: ``sha256:`` and its hash in hexadecimal; the server checks it.
        """
        if self._call("HEAD", f"/api/blobs/{digest}", None, self._quick_seconds).status_code == HTTPStatus.OK:
            return
        size_bytes = path.stat().st_size
        with path.open("rb") as file:

            def body() -> Iterator[bytes]:
                sent = 0
                shown = 0.0
                while chunk := file.read(_CHUNK_BYTES):
                    self._check_cancelled()
                    yield chunk
                    sent += len(chunk)
                    if time.monotonic() - shown > 1.0:
                        shown = time.monotonic()
                        self._session.status(f"storing {path.name}: {sent / 1e6:.0f} of {size_bytes / 1e6:.0f} MB")

            with _plain_errors(self._url):
                response = httpx.post(
                    f"{self._url}/api/blobs/{digest}",
                    content=body(),
                    headers={"Content-Length": str(size_bytes)},
                    timeout=_SILENCE_SECONDS,
                    trust_env=False,
                )
        self._accepted(response)

    def load(self, model: str) -> None:
        """Bring a model into memory, so that the first question need not wait for it."""
        response = self._call("POST", "/api/generate", {"model": model, "stream": False}, _LOAD_SECONDS)
        if response.status_code == HTTPStatus.BAD_REQUEST and "does not support generate" in response.text:
            response = self._call("POST", "/api/embed", {"model": model, "input": ""}, _LOAD_SECONDS)
        self._accepted(response)

    def delete(self, model: str) -> None:
        """Take a model out of the store; fine where it has none of that name."""
        response = self._call("DELETE", "/api/delete", {"model": model}, self._quick_seconds)
        if response.status_code != HTTPStatus.NOT_FOUND:
            self._accepted(response)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_seconds: float) -> httpx.Response:
        with _plain_errors(self._url):
            # A server of this machine is never behind the proxy that the environment may name.
            return httpx.request(method, self._url + path, json=body, timeout=timeout_seconds, trust_env=False)

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        last: dict[str, Any] = {}
        with (
            _plain_errors(self._url),
            httpx.stream("POST", self._url + path, json=body, timeout=_SILENCE_SECONDS, trust_env=False) as response,
        ):
            if response.is_error:
                response.read()
                self._accepted(response)
            for text in response.iter_lines():
                self._check_cancelled()
                if not text.strip():
                    continue
                last = json.loads(text)
                if "error" in last:
                    raise OllamaError(f"{self._url}{path} {body['model']!r}: {last['error']}")
                yield last
        if last.get("status") != "success":
            raise OllamaError(f"{self._url}{path} {body['model']!r}: the answer ended early, after {last!r}")

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        if response.is_error:
            try:
                reason = response.json()["error"]
            except (ValueError, KeyError, TypeError):
                reason = response.text[:200]
            raise OllamaError(f"{response.request.url}: {response.status_code}: {reason}")
        return response

    def _check_cancelled(self) -> None:
        if self._session.cancelled.is_set():
            raise OllamaError("cancelled. What was fetched is kept; the next `paddock up` goes on from there.")


class PullProgress:
    """Turns the lines of a pull into one line for a person."""

    def __init__(self, tag: str, clock: Callable[[], float]) -> None:
        """Make one for the pull of ``tag``; ``clock`` counts seconds."""
        self._tag = tag
        self._clock = clock
        self._started: dict[str, tuple[float, int]] = {}

    def describe(self, line: Mapping[str, Any]) -> str:
        """Say where the pull stands: bytes done and in all, speed, and the time left where it can be told."""
        total, done = line.get("total"), line.get("completed", 0)
        if not total:
            return f"pulling {self._tag}: {line.get('status', '')}"
        now = self._clock()
        started, first_bytes = self._started.setdefault(str(line.get("digest")), (now, done))
        text = f"pulling {self._tag}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
        elapsed, fetched = now - started, done - first_bytes
        if elapsed >= 1.0 and fetched > 0:
            speed = fetched / elapsed
            text += f", {speed / 1e6:.1f} MB/s, {(total - done) / speed:.0f} s left"
        return text


class _plain_errors:  # noqa: N801 - used as a function
    """Turns the HTTP library's errors into this module's."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
            reason = str(error) or type(error).__name__
            raise OllamaUnreachableError(f"the Ollama server at {self._url} does not answer: {reason}") from error
