"""Starting the programs of a control plane, seeing that they answer, and ending them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 10.0
POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 3000


class StartError(Exception):
    """A program of the control plane ended, or did not come up in time; says what it logged last."""


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, no two the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass(frozen=True)
class Program:
    """One running program and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def log_end(self) -> str:
        """The last lines it logged."""
        end = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"--- {self.name} (pid {self.process.pid}, exit code {self.process.poll()}), end of its log:\n{end}"


class Programs:
    """Programs that were started here, in their order, and that end in the reverse one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[Program] = []

    def start(self, binary: Path, arguments: Mapping[str, str | int | Path] | Sequence[str]) -> Program:
        """Start a program with its log in the directory; arguments of a mapping become ``--name=value``."""
        if isinstance(arguments, Mapping):
            arguments = [f"--{name}={value}" for name, value in arguments.items()]
        path = self._directory / f"{binary.name}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [binary, *arguments], cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        program = Program(binary.name, process, path)
        self._started.append(program)
        return program

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready``.

        Raises:
            StartError: A program ended meanwhile, or ``seconds`` are over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if any(one.process.poll() is not None for one in self._started):
                raise StartError(f"a program ended while {what} was awaited\n{self.log_ends()}")
            if time.monotonic() > deadline:
                raise StartError(f"{what}: not after {seconds:.0f} s\n{self.log_ends()}")
            time.sleep(POLL_SECONDS)

    def log_ends(self) -> str:
        """The ends of all logs."""
        return "\n".join(program.log_end() for program in self._started)

    def end(self) -> None:
        """End each one, the last started first, so that none loses what it depends on while it still works."""
        for program in reversed(self._started):
            if program.process.poll() is None:
                program.process.terminate()
                try:
                    program.process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    program.process.kill()
                    program.process.wait()
        self._started.clear()
