"""Several processes on one port: the parent that starts them, starts them again, and ends them together.

Each worker listens by itself with SO_REUSEPORT, so the kernel shares connections out among them and no
process stands in the way of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_runtime.router.exposition import Family, added_up, from_json, to_json
from agent_runtime.router.log import Log

_FIRST_BACK_OFF_SECONDS: Final = 0.5
_LONGEST_BACK_OFF_SECONDS: Final = 15.0
_STEADY_SECONDS: Final = 60.0
"""A worker that lived this long did not end because it cannot start."""

_NOT_SUMS: Final = frozenset(
    {
        "paddock_contract_last_reload_successful",
        "paddock_contract_last_reload_timestamp_seconds",
        "paddock_experiment_weight",
        "paddock_experiment_ruling",
    }
)


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of several workers a process is."""

    number: int
    of: int
    directory: Path
    """Where the workers tell each other what they counted."""
    parent_id: int
    carried: tuple[Family, ...] = ()
    """What the worker that sat here before had counted: a counter that fell back would be read as one that ran on."""

    @classmethod
    def parse(cls, text: str, directory: Path) -> Seat:
        """A seat as the parent writes it on the command line: ``2/4/1234``, number, workers, the parent's id.

        Raises:
            ValueError: it is something else.
        """
        number, of, parent_id = (int(part) for part in text.split("/"))
        carried = (one for one in _read(_path(directory, number)) if one.kind != "gauge")
        return cls(number, of, directory, parent_id, tuple(carried))

    @property
    def orphaned(self) -> bool:
        """Whether the parent has ended without a word."""
        return os.getppid() != self.parent_id

    def tell(self, families: Sequence[Family]) -> None:
        """Write down what this worker has counted, for the others."""
        path = _path(self.directory, self.number)
        with contextlib.suppress(OSError):  # a full disk is no reason not to serve
            new = path.with_suffix(".new")
            new.write_text(to_json(self._with_carried(families)), encoding="utf-8")
            new.replace(path)

    def together(self, families: Sequence[Family]) -> list[Family]:
        """What all workers have counted; ``families`` are this one's, as of now."""
        others = (_read(_path(self.directory, number)) for number in range(self.of) if number != self.number)
        return added_up([*others, self._with_carried(families)], latest=_NOT_SUMS)

    def _with_carried(self, families: Sequence[Family]) -> list[Family]:
        return added_up([self.carried, families], latest=_NOT_SUMS)


def _path(directory: Path, number: int) -> Path:
    return directory / f"metrics-{number}.json"


def _read(path: Path) -> list[Family]:
    # A worker that has not written yet has counted nothing that matters.
    with contextlib.suppress(OSError, ValueError):
        return from_json(path.read_text(encoding="utf-8"))
    return []


def run_workers(command: Sequence[str], *, host: str, port: int, workers: int, log: Log) -> int:
    """Run workers until SIGTERM or SIGINT, and give the exit code.

    Args:
        command: What starts one worker; its address, its seat and the shared directory are added.
        host: Where they listen.
        port: 0 takes a free one.
        workers: How many.
        log: Where the parent's own events go.

    Raises:
        OSError: the address cannot be had.
    """
    with _reserved(host, port) as reservation, tempfile.TemporaryDirectory(prefix="paddock-router-") as shared:
        bound: int = reservation.getsockname()[1]
        own = [*command, "--host", host, "--port", str(bound), "--shared", shared]
        return asyncio.run(_Parent(own, workers, log).run())


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Generator[socket.socket]:
    """The address, taken in such a way that workers can share it and nobody else's server has it already."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # With SO_REUSEPORT a second router on the port would not be told so, and take half of the first one's requests.
    with socket.socket(found[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(found[4])
        address = probe.getsockname()
    with socket.socket(found[0], socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
        yield held


class _Parent:
    def __init__(self, command: Sequence[str], workers: int, log: Log) -> None:
        self._command = list(command)
        self._workers = workers
        self._log = log
        self._stopping = asyncio.Event()
        self._signals = 0
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        codes = await asyncio.gather(*(self._keep(number) for number in range(self._workers)))
        return max(codes)

    def _on_signal(self) -> None:
        self._stopping.set()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    async def _keep(self, number: int) -> int:
        """One worker, again and again until all are to end. Its exit code."""
        back_off = _FIRST_BACK_OFF_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            seat = f"{number}/{self._workers}/{os.getpid()}"
            # Workers get a terminal's Ctrl-C from the parent, in order; not from the terminal as well.
            process = await asyncio.create_subprocess_exec(
                *self._command, "--worker", seat, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            self._running[number] = process
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
            del self._running[number]
            if self._stopping.is_set():
                return max(code, 0)
            if code == 2:
                # What it was asked is wrong. It would be wrong again.
                self._on_signal()
                return code
            if loop.time() - started >= _STEADY_SECONDS:
                back_off = _FIRST_BACK_OFF_SECONDS
            self._log.event("worker_died", level="error", worker=number, exit_code=code, again_in_seconds=back_off)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), back_off)
                return 0
            back_off = min(2 * back_off, _LONGEST_BACK_OFF_SECONDS)
