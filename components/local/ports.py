"""Ports: which are free, who holds one, and choosing one that stays the process's own.

A chosen port is written into a list that all checkouts of this user share, because a server that is
still loading its model has a port but does not hold it yet. A line of the list counts while its process
has a record, and for ten minutes before it has one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from components.local.files import atomic_write, cache_root, file_lock
from components.local.records import RECORD_NAME
from fleet_spec.errors import PaddockError

_UNSTARTED_SECONDS = 600
_COMMAND_SHOWN = 120
"""How much of a command line a message holds, in characters: enough to know a fleet of another checkout."""


class NoPortError(PaddockError):
    """There is no port left to choose."""


@dataclass(frozen=True)
class _Reservation:
    directory: str
    at: float

    @property
    def counts(self) -> bool:
        return (Path(self.directory) / RECORD_NAME).exists() or time.time() - self.at < _UNSTARTED_SECONDS


def port_is_free(host: str, port: int) -> bool:
    """Whether a server can listen on ``host`` and ``port`` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Not all systems refuse to bind where a wildcard address listens, so knock first.
        probe.settimeout(0.5)
        if probe.connect_ex((reachable_host(host), port)) == 0:
            return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def host_problem(host: str) -> str | None:
    """Why nothing can listen on ``host``, in the system's words; None where something can."""
    try:
        port_is_free(host, 0)
    except OSError as error:
        return error.strerror or str(error)
    return None


def reachable_host(host: str) -> str:
    """The address at which this machine reaches a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def holders_of(port: int) -> list[int]:
    """The ids of processes that listen on ``port``, as far as this user may see them."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        return sorted(
            {
                connection.pid
                for connection in psutil.net_connections(kind="tcp")
                if connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            }
        )
    return []


def describe_holder(port: int) -> str:
    """Who holds ``port``, in words for a message."""
    import psutil

    names: list[str] = []
    for pid in holders_of(port):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            command = " ".join(process.cmdline()) or process.name()
            shown = command if len(command) <= _COMMAND_SHOWN else f"{command[:_COMMAND_SHOWN]}..."
            names.append(f"process {pid} ({shown})")
    return " and ".join(names) or "a program that cannot be seen from this account"


def choose_port(host: str, first: int, last: int, directory: Path, *, preferred: int | None = None) -> int:
    """Choose a free port and reserve it for the process that lives in ``directory``.

    Args:
        host: The address to listen on.
        first: The lowest port to choose from.
        last: The highest.
        directory: Whose port it will be.
        preferred: Taken where it is free: the port the process had before.

    Raises:
        NoPortError: every port of the range is held or reserved.
    """
    with _reservations() as reserved:
        taken = {port for port, one in reserved.items() if one.directory != str(directory)}
        own = [port for port, one in reserved.items() if one.directory == str(directory)]
        wanted = [] if preferred is None else [preferred]
        for port in [*wanted, *own, *range(first, last + 1)]:
            if port not in taken and (first <= port <= last or port == preferred) and port_is_free(host, port):
                for old in own:
                    del reserved[old]
                reserved[port] = _Reservation(str(directory), time.time())
                return port
    raise NoPortError(
        f"no port between {first} and {last} is free on {host}. Stop a program that holds one, or give a port."
    )


def reserve_port(port: int, directory: Path) -> None:
    """Keep others from choosing ``port``, which the process in ``directory`` was given by its config."""
    with _reservations() as reserved:
        for old in [number for number, one in reserved.items() if one.directory == str(directory)]:
            del reserved[old]
        reserved[port] = _Reservation(str(directory), time.time())


def release_port(directory: Path) -> None:
    """Forget the port of the process in ``directory``."""
    with _reservations() as reserved:
        for old in [number for number, one in reserved.items() if one.directory == str(directory)]:
            del reserved[old]


@contextlib.contextmanager
def _reservations() -> Generator[dict[int, _Reservation]]:
    """The list, without lines that no longer count, locked; what the caller changes is written back."""
    path = cache_root() / "ports.json"
    with file_lock(path.with_suffix(".lock")):
        reserved = {port: one for port, one in _load(path).items() if one.counts}
        yield reserved
        text = json.dumps({str(port): {"directory": one.directory, "at": one.at} for port, one in reserved.items()})
        atomic_write(path, text.encode() + b"\n")


def _load(path: Path) -> dict[int, _Reservation]:
    # A list that cannot be read is worth nothing and costs nothing: ports are tested before they are taken.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        lines = json.loads(path.read_text())
        return {int(port): _Reservation(str(one["directory"]), float(one["at"])) for port, one in lines.items()}
    return {}
