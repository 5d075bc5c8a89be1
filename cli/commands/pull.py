"""models pull and remove: what the Ollama servers of a stack hold."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from agent_runtime.ollama_client import OllamaLLMClient, OllamaNotFoundError, PullProgress
from agent_runtime.ollama_client.requests import holds
from cli.console import PIPE_INTERVAL_SECONDS, note, write, write_json
from cli.contract import read_contract
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_MIB = 1024 * 1024


def pull(name: str, stack: str, *, url: str | None, insecure: bool = False, as_json: bool) -> None:
    """Have each Ollama server of a stack fetch a model; shows bytes, speed and what is left.

    Args:
        name: A model of Ollama's library, such as ``llama3.1:8b``, or of another registry: ``HOST/OWNER/NAME:TAG``.
        stack: The stack's name.
        url: One server, in place of the stack's.
        insecure: Whether a registry without TLS will do.
        as_json: Print one JSON document.

    Raises:
        BadInputError: the stack is not up, or it has no Ollama server that this machine reaches.
        OllamaError: a server failed.
    """
    pulled: list[dict[str, Any]] = []
    for server in _servers(stack, url):
        with OllamaLLMClient(server) as client, _Bar(f"{name} at {server}") as bar:
            for progress in client.pull(name, insecure=insecure):
                bar.show(progress)
            size_bytes = next((model.size for model in client.list().models if model.model in _names(name)), None)
        pulled.append({"url": server, "model": name, "sizeBytes": int(size_bytes) if size_bytes else None})
        if not as_json:
            write(f"{server} holds {name}{f' ({size_bytes / _MIB:,.0f} MiB)' if size_bytes else ''}")
    if as_json:
        write_json({"pulled": pulled})


def remove(name: str, stack: str, *, url: str | None, as_json: bool) -> None:
    """Remove a model from each Ollama server of a stack that holds it.

    Raises:
        BadInputError: the stack is not up, has no Ollama server, or serves the model itself.
        OllamaNotFoundError: no server holds it.
    """
    if url is None:
        _refuse_served(name, stack)
    removed: list[str] = []
    servers = _servers(stack, url)
    for server in servers:
        with OllamaLLMClient(server) as client:
            if holds(client.refresh(), name):
                client.delete(name)
                removed.append(server)
    if not removed:
        raise OllamaNotFoundError(f"none of {', '.join(servers)} holds {name}. fix: `paddock models list`")
    if as_json:
        write_json({"removed": [{"url": server, "model": name} for server in removed]})
        return
    for server in removed:
        write(f"{server} holds {name} no more")


def _refuse_served(name: str, stack: str) -> None:
    using = [key for key, model in read_contract(stack).models.items() if model.model in _names(name)]
    if using:
        raise BadInputError(
            f"stack {stack!r} serves {name} as {', '.join(using)}. "
            "fix: take it out of the stack's models and run `paddock up`"
        )


def _servers(stack: str, url: str | None) -> list[str]:
    if url is not None:
        return [url]
    contract: FleetContract = read_contract(stack)
    if contract.target != "local":
        raise BadInputError(
            f"the servers of stack {stack!r} are not reached from here: its models are fetched by `paddock "
            "up`. fix: name the model in the stack's config, or a server with --url"
        )
    found = [
        endpoint.url for model in contract.models.values() if model.engine == "ollama" for endpoint in model.endpoints
    ]
    if not found:
        engines = ", ".join(sorted({model.engine for model in contract.models.values()})) or "none"
        raise BadInputError(
            f"stack {stack!r} has no Ollama server; its engines: {engines}. fix: name a server with --url"
        )
    return list(dict.fromkeys(found))


def _names(name: str) -> tuple[str, str]:
    return name, name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


class _Bar:
    """Progress on a terminal as a bar, in a pipe as a line now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told_bytes = -1
        self._next_seconds = 0.0

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
            from rich.progress import TransferSpeedColumn as Speed

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None)
        else:
            note(f"pulling {self._title} ...")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: PullProgress) -> None:
        """Show one look at the download."""
        if self._bar is not None and self._task is not None:
            total = progress.total_bytes or None
            self._bar.update(self._task, completed=progress.completed_bytes, total=total)
            return
        now = time.monotonic()
        if progress.total_bytes and now >= self._next_seconds and progress.completed_bytes != self._told_bytes:
            self._next_seconds = now + PIPE_INTERVAL_SECONDS
            self._told_bytes = progress.completed_bytes
            speed = f", {progress.bytes_per_second / _MIB:.1f} MiB/s" if progress.bytes_per_second else ""
            eta = f", {progress.eta_seconds:.0f} s left" if progress.eta_seconds else ""
            note(f"{progress.completed_bytes / _MIB:,.0f} of {progress.total_bytes / _MIB:,.0f} MiB{speed}{eta}")
