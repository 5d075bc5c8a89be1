"""The synchronous Ollama client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx
import ollama

from agent_runtime.authorization import authorization
from agent_runtime.ollama_client import requests as shared
from agent_runtime.ollama_client.errors import (
    OllamaCutOffError,
    OllamaNotFoundError,
    OllamaOverloadedError,
    OllamaProtocolError,
    OllamaUnreachableError,
    cut_off,
    translated,
)
from agent_runtime.ollama_client.progress import ProgressMeter, PullProgress

_T = TypeVar("_T")
_Part = TypeVar("_Part", ollama.ChatResponse, ollama.GenerateResponse)


class OllamaLLMClient:
    """Talks to an Ollama server, or to a router that speaks its API.

    ::

        with OllamaLLMClient("http://127.0.0.1:11434") as client:
            for progress in client.pull("gemma3:270m"):
                print(progress.completed_bytes, progress.total_bytes)
            print(client.chat("gemma3:270m", [{"role": "user", "content": "Hello"}]).message.content)

    Every method raises the errors of :mod:`agent_runtime.ollama_client.errors`. What only reads is asked again where
    the server could not be reached or was busy; a chat is not, because it may have been computed.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:11434",
        *,
        api_key: str | None = None,
        timeout_seconds: float = shared.REPLY_TIMEOUT_SECONDS,
        through_proxies: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client.

        Args:
            url: The server's, without ``/api``.
            api_key: What to show to a router that asks for a key.
            timeout_seconds: Longest silence before a reply or within one.
            through_proxies: Whether the environment's proxies and certificates count.
            transport: Where requests go in a test.
        """
        self.url = url.rstrip("/")
        self.models: list[str] = []
        """What :meth:`refresh` found last."""
        wishes: dict[str, Any] = {
            "timeout": shared.timeout(timeout_seconds),
            "headers": authorization(api_key),
            "trust_env": through_proxies,
            "transport": transport,
        }
        self._client = ollama.Client(self.url, **wishes)
        # Its signatures of these are partly unknown to a type checker.
        self._loose: Any = self._client
        self._http = httpx.Client(base_url=self.url, **wishes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OllamaLLMClient({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._http.close()

    def version(self) -> str:
        """The server's version."""

        def ask() -> str:
            reply = self._http.get("/api/version")
            if not reply.is_success:
                raise ollama.ResponseError(reply.text, reply.status_code)
            version: object = cast("dict[str, Any]", reply.json()).get("version")
            if not isinstance(version, str):
                raise OllamaProtocolError(f"{self.url}/api/version names no version: {reply.text[:200]}")
            return version

        return self._read(ask, "version")

    def list(self) -> ollama.ListResponse:
        """The models that the server holds, with size, digest and date."""
        return self._read(self._client.list, "list")

    def refresh(self) -> Sequence[str]:
        """Look again which models there are; their names, also kept as ``models``."""
        self.models = shared.names_of(self.list())
        return self.models

    def show(self, model: str) -> ollama.ShowResponse:
        """What the server knows of a model: template, parameters, capabilities, licence."""
        return self._read(lambda: self._client.show(model), f"show {model}")

    def ps(self) -> ollama.ProcessResponse:
        """The models that are loaded, with their memory and when they go."""
        return self._read(self._client.ps, "ps")

    def pull(self, model: str, *, insecure: bool = False) -> Iterator[PullProgress]:
        """Fetch a model; gives how far it is, as it goes on, and ends when the server has it.

        A pull that breaks off is taken up again where it was.

        Args:
            model: Such as ``llama3.1:8b``.
            insecure: Whether a registry without TLS will do.

        Raises:
            OllamaNotFoundError: no registry has it, or the server does not hold it at the end.
            OllamaCutOffError: it broke off again and again.
        """
        meter, what = ProgressMeter(), f"pull {model}"
        for attempt in range(shared.PULL_ATTEMPTS):
            pieces, done = 0, False
            broken: Exception = cut_off(self.url, what, pieces)
            try:
                for line in self._client.pull(model, insecure=insecure, stream=True):
                    pieces += 1
                    progress = meter.add(line)
                    done = done or progress.done
                    yield progress
            except Exception as error:
                broken = translated(error, self.url, what, pieces=pieces)
                if not isinstance(broken, OllamaCutOffError):
                    raise broken from error
            if done:
                break
            if attempt == shared.PULL_ATTEMPTS - 1:
                raise broken
            time.sleep(shared.pause_seconds(attempt))
        if not shared.holds(self.refresh(), model):
            raise OllamaNotFoundError(f"the server at {self.url} said that it pulled {model} and does not hold it")

    def create(self, model: str, **source: Any) -> None:
        """Make a model of another: ``from_``, ``system``, ``template``, ``parameters``, ``files``, ``quantize`` ..."""
        self._once(lambda: self._loose.create(model, **source), f"create {model}")

    def copy(self, source: str, destination: str) -> None:
        """Give a model a second name."""
        self._once(lambda: self._client.copy(source, destination), f"copy {source} to {destination}")

    def delete(self, model: str) -> None:
        """Remove a model from the server."""
        self._once(lambda: self._client.delete(model), f"delete {model}")

    def embed(
        self,
        model: str,
        texts: str | Sequence[str],
        *,
        truncate: bool | None = None,
        dimensions: int | None = None,
        options: shared.Options = None,
        keep_alive: shared.KeepAlive = None,
    ) -> ollama.EmbedResponse:
        """The embeddings of texts, in their order."""
        return self._read(
            lambda: self._client.embed(model, texts, truncate, options, keep_alive, dimensions), f"embed with {model}"
        )

    def chat(
        self,
        model: str,
        messages: Sequence[shared.Message],
        *,
        tools: Sequence[shared.ToolSpec] | None = None,
        format: shared.Format = None,  # noqa: A002 - as Ollama's API calls it
        think: shared.Think = None,
        options: shared.Options = None,
        keep_alive: shared.KeepAlive = None,
    ) -> ollama.ChatResponse:
        """The whole answer to a conversation."""
        asked: dict[str, Any] = {"tools": tools, "format": format, "think": think}
        asked |= {"options": options, "keep_alive": keep_alive}
        return self._once(lambda: self._loose.chat(model, messages, **asked), f"chat with {model}")

    def chat_stream(
        self,
        model: str,
        messages: Sequence[shared.Message],
        *,
        tools: Sequence[shared.ToolSpec] | None = None,
        format: shared.Format = None,  # noqa: A002 - as Ollama's API calls it
        think: shared.Think = None,
        options: shared.Options = None,
        keep_alive: shared.KeepAlive = None,
    ) -> Iterator[ollama.ChatResponse]:
        """As :meth:`chat`, piece by piece. Raises OllamaCutOffError where the last piece is missing."""
        asked: dict[str, Any] = {"tools": tools, "format": format, "think": think}
        asked |= {"options": options, "keep_alive": keep_alive}
        parts = self._loose.chat(model, messages, stream=True, **asked)
        return self._stream(parts, f"chat with {model}")

    def generate(
        self,
        model: str,
        prompt: str,
        *,
        suffix: str | None = None,
        system: str | None = None,
        template: str | None = None,
        images: Sequence[str | bytes] | None = None,
        raw: bool | None = None,
        format: shared.Format = None,  # noqa: A002 - as Ollama's API calls it
        think: shared.Think = None,
        options: shared.Options = None,
        keep_alive: shared.KeepAlive = None,
    ) -> ollama.GenerateResponse:
        """What follows a prompt, whole."""
        asked: dict[str, Any] = {"suffix": suffix, "system": system, "template": template, "images": images}
        asked |= {"raw": raw, "format": format, "think": think, "options": options, "keep_alive": keep_alive}
        return self._once(lambda: self._loose.generate(model, prompt, **asked), f"generate with {model}")

    def generate_stream(
        self,
        model: str,
        prompt: str,
        *,
        suffix: str | None = None,
        system: str | None = None,
        template: str | None = None,
        images: Sequence[str | bytes] | None = None,
        raw: bool | None = None,
        format: shared.Format = None,  # noqa: A002 - as Ollama's API calls it
        think: shared.Think = None,
        options: shared.Options = None,
        keep_alive: shared.KeepAlive = None,
    ) -> Iterator[ollama.GenerateResponse]:
        """As :meth:`generate`, piece by piece. Raises OllamaCutOffError where the last piece is missing."""
        asked: dict[str, Any] = {"suffix": suffix, "system": system, "template": template, "images": images}
        asked |= {"raw": raw, "format": format, "think": think, "options": options, "keep_alive": keep_alive}
        parts = self._loose.generate(model, prompt, stream=True, **asked)
        return self._stream(parts, f"generate with {model}")

    def _stream(self, parts: Iterator[_Part], what: str) -> Iterator[_Part]:
        pieces, done = 0, False
        try:
            for part in parts:
                pieces += 1
                done = bool(part.done)
                yield part
        except Exception as error:
            raise translated(error, self.url, what, pieces=pieces) from error
        if not done:
            raise cut_off(self.url, what, pieces)

    def _once(self, ask: Callable[[], _T], what: str) -> _T:
        try:
            return ask()
        except Exception as error:
            raise translated(error, self.url, what) from error

    def _read(self, ask: Callable[[], _T], what: str) -> _T:
        for attempt in range(shared.READ_ATTEMPTS - 1):
            try:
                return self._once(ask, what)
            except (OllamaUnreachableError, OllamaOverloadedError, OllamaCutOffError):
                time.sleep(shared.pause_seconds(attempt))
        return self._once(ask, what)
