"""How much memory a model takes: the size that Ollama gives, and what a local server's processes hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx
import psutil

from agent_runtime.benchmark.target import Target

_LOOK_SECONDS: Final = 1.0
_ASK_SECONDS: Final = 10.0


@dataclass(frozen=True)
class MemoryUse:
    """What is known of it. None: nobody could say."""

    engine_size_bytes: int | None = None
    """The model's size when loaded, as the engine says: Ollama's ``/api/ps``, field ``size``."""
    engine_vram_bytes: int | None = None
    """How much of it lies on GPUs: field ``size_vram``."""
    rss_peak_bytes: int | None = None
    """The most that was seen, once a second, of the resident set size of its local servers and their children."""


class MemoryWatch:
    """Watches a target's memory while its block runs; :attr:`use` says what was seen."""

    def __init__(self, target: Target, pids: Mapping[int, int]) -> None:
        """Watch ``target``; ``pids`` holds the processes whose port is known: port -> process id."""
        self._target = target
        self._pids = pids
        self._servers: list[psutil.Process] = []
        self._processes: list[psutil.Process] = []
        self._task: asyncio.Task[None] | None = None
        self._peak: int | None = None
        self.use = MemoryUse()

    async def __aenter__(self) -> Self:
        self._servers = await asyncio.to_thread(servers_at, self._target.local_ports, self._pids)
        await self.refresh()
        if self._servers:
            self._task = asyncio.create_task(self._look())
        return self

    async def refresh(self) -> None:
        """Find the servers' children anew. Reads all of /proc, so it is called between measurements."""
        if self._servers:
            self._processes = await asyncio.to_thread(with_children, self._servers)
            self._take()

    def _take(self) -> None:
        seen = resident_bytes(self._processes)
        if seen is not None:
            self._peak = max(seen, self._peak or 0)

    async def _look(self) -> None:
        while True:
            # In the event loop: one small file for each process, where a thread would hold the interpreter for longer.
            self._take()
            await asyncio.sleep(_LOOK_SECONDS)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.refresh()
        size, vram = (None, None) if kind is not None else await loaded_bytes(self._target)
        self.use = MemoryUse(size, vram, self._peak)


def servers_at(ports: Iterable[int], pids: Mapping[int, int]) -> list[psutil.Process]:
    """The processes that listen on ports of this machine, those that may be seen."""
    wanted = set(ports)
    found = {pids[port] for port in wanted if port in pids}
    if wanted - pids.keys():
        # Asking for all connections takes more rights than this user may have.
        with contextlib.suppress(psutil.Error, OSError):
            for connection in psutil.net_connections("tcp"):
                address: Any = connection.laddr
                if connection.status == psutil.CONN_LISTEN and connection.pid and address.port in wanted - pids.keys():
                    found.add(connection.pid)
    processes: list[psutil.Process] = []
    for pid in sorted(found):
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
    return processes


def with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Processes and all that they started, each once; those that have ended are left out."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


def resident_bytes(processes: Iterable[psutil.Process]) -> int | None:
    """What processes hold in memory together; None where none of them is left."""
    seen: list[int] = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            seen.append(process.memory_info().rss)
    return sum(seen) if seen else None


async def loaded_bytes(target: Target) -> tuple[int | None, int | None]:
    """A model's size when loaded and how much of it lies on GPUs, as Ollama says."""
    if target.ollama_url is None:
        return None, None
    names = {target.asked, target.model}
    try:
        async with httpx.AsyncClient(timeout=_ASK_SECONDS, headers=dict(target.headers), trust_env=False) as client:
            found: Any = (await client.get(f"{target.ollama_url}/api/ps")).json()
        models = cast("list[dict[str, Any]]", found.get("models") or [])
    except (httpx.HTTPError, ValueError, AttributeError):
        return None, None
    for model in models:
        if names & {model.get("model"), model.get("name")}:
            return model.get("size"), model.get("size_vram")
    return None, None


async def unload(target: Target) -> None:
    """Have a target's Ollama servers unload its model, so that the next request loads it.

    Raises:
        httpx.HTTPError: a server could not be asked, or refused.
    """
    async with httpx.AsyncClient(timeout=_ASK_SECONDS, trust_env=False) as client:
        for url in target.replica_urls:
            body = {"model": target.model or target.asked, "keep_alive": 0}
            # The router's key is the router's: a model server behind it is not shown it.
            headers = dict(target.headers) if url == target.url else {}
            (await client.post(f"{url}/api/generate", json=body, headers=headers)).raise_for_status()
