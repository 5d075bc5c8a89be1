"""Servers for candidates: each a process of its own on a port of its own, beside whatever else runs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from agent_runtime.benchmark.memory import resident_bytes
from cli.tuning.settings import Candidate
from components.local.commands import PORT_PLACEHOLDER
from components.local.launch import inherited_environment

_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 10.0
_CHILDREN_SECONDS: Final = 2.0
"""How long what it started may go on without it."""
_POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 3
_MEMORY_SHARE: Final = 0.5
"""Of the memory that is free: idle servers are kept up to there, so that they need not load again each round."""
_MOST_SERVERS: Final = 8
_PROJECT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Launch:
    """How a server of a candidate is started. The port stands in both as PORT_PLACEHOLDER."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to what every process of the fleet inherits."""


class Server:
    """One running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port
        self.watched = psutil.Process(process.pid)

    @property
    def memory_bytes(self) -> int:
        """What it and its children hold in memory now (resident set size)."""
        return resident_bytes([self.watched]) or 0

    @property
    def cpu_seconds(self) -> float:
        """What it and its children have computed so far."""
        total = 0.0
        for one in (self.watched, *self.watched.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def stop(self) -> None:
        """End it, and what it has started."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = self.watched.children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        left = psutil.wait_procs(children, _CHILDREN_SECONDS)[1]
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, _CHILDREN_SECONDS)


class Servers:
    """Starts servers as they are asked for and keeps them while there is memory. Use as a context manager."""

    def __init__(
        self,
        launch: Callable[[Candidate], Launch],
        logs: Path,
        *,
        answers: Callable[[int], bool],
        free_bytes: Callable[[], int] = lambda: int(psutil.virtual_memory().available),
    ) -> None:
        """Prepare.

        Args:
            launch: How a candidate is served.
            logs: A folder for their logs.
            answers: Whether the server at a port of this machine is ready.
            free_bytes: How much memory is free.
        """
        self._launch = launch
        self._logs = logs
        self._answers = answers
        self._free_bytes = free_bytes
        self._running: OrderedDict[str, Server] = OrderedDict()

    def of(self, candidate: Candidate) -> Server | str:
        """A server of a candidate that answers, or why there is none."""
        key = repr(candidate)
        server = self._running.get(key)
        if server is not None:
            self._running.move_to_end(key)
            return server
        self._make_room()
        started = self._start(candidate)
        if isinstance(started, Server):
            self._running[key] = started
        return started

    def _make_room(self) -> None:
        while self._running:
            largest = max(server.memory_bytes for server in self._running.values())
            if len(self._running) < _MOST_SERVERS and largest < self._free_bytes() * _MEMORY_SHARE:
                return
            _, oldest = self._running.popitem(last=False)
            oldest.stop()

    def _start(self, candidate: Candidate) -> Server | str:
        port = _free_port()
        log = self._logs / f"server-{port}.log"
        launch = self._launch(candidate)

        def fill(text: str) -> str:
            return text.replace(PORT_PLACEHOLDER, str(port))

        environment = {name: fill(value) for name, value in launch.environment.items()}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [fill(part) for part in launch.command],
                stdout=out,
                stderr=out,
                cwd=_PROJECT,
                env=inherited_environment(os.environ) | environment,
            )
        server = Server(process, port)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while not self._answers(port):
                if process.poll() is not None:
                    return f"its server ended with {process.returncode}: {_last_words(log)}"
                if time.monotonic() > deadline:
                    server.stop()
                    return f"its server did not answer within {_START_SECONDS:g} s: {_last_words(log)}"
                time.sleep(_POLL_SECONDS)
        except BaseException:
            server.stop()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            _, server = self._running.popitem()
            server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_LOG_LINES:]) or "it wrote nothing"
