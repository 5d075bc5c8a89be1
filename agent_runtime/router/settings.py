"""What a router is started with."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.router.workers import Seat
from fleet_spec.errors import BadInputError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
MOST_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line of a router."""

    fleet: Path
    """The contract's file. It is followed while the router runs."""
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    """0 takes a free one; the log's ``listening`` line tells which."""
    secrets: Path | None = None
    """The directory with client keys and the keys of tiers, one file each. It is followed too."""
    data: Path | None = None
    """The directory for what outlives the process: spending, and the outcomes of experiments."""
    workers: int = 1
    """Processes that share the port."""
    seat: Seat | None = None
    """Which of several workers this process is; None where it is the only one."""

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            BadInputError: port or workers are out of range.
        """
        if not 0 <= self.port <= 65535:
            raise BadInputError(f"--port {self.port} is no port: choose one from 1 to 65535, or 0 for a free one.")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise BadInputError(f"--workers {self.workers} is out of range: choose a number from 1 to {MOST_WORKERS}.")

    def worker_command(self) -> list[str]:
        """What starts a worker of this router, but for its address and seat."""
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(self.fleet)]
        if self.secrets is not None:
            command += ["--secrets", str(self.secrets)]
        if self.data is not None:
            command += ["--data", str(self.data)]
        return command

    @property
    def valkey(self) -> tuple[str | None, str | None]:
        """Address and password of the Valkey or Redis that several routers share, from the environment."""
        return os.environ.get("PADDOCK_VALKEY_URL") or None, os.environ.get("PADDOCK_VALKEY_PASSWORD") or None

    @property
    def beyond_loopback(self) -> bool:
        """Whether others than this machine can reach it."""
        if self.host == "localhost":
            return False
        with contextlib.suppress(ValueError):
            return not ipaddress.ip_address(self.host).is_loopback
        return True
