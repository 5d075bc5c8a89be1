"""How much a program in the sandbox may take, and what it gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Isolation = Literal["namespaces", "limits"]
"""What stood around a program: see :mod:`agent_runtime.agents.tools.sandbox`."""

Ending = Literal["exited", "timed out", "out of memory", "too much output", "stopped"]


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What a program may take."""

    timeout_seconds: float = 10.0
    """From its start to its end."""
    cpu_seconds: int = 10
    """Of each process."""
    memory_bytes: int = 512 << 20
    """Of each process's address space, and of what all of them have in memory."""
    disk_bytes: int = 64 << 20
    """Of all files that it writes, which are kept in memory."""
    processes: int = 32
    """Processes and threads at the same time."""
    open_files: int = 128
    output_bytes: int = 64 << 10
    """What is kept of its output, and as much of its errors. It is ended when it wrote 16 times as much."""

    def to_mapping(self) -> dict[str, Any]:
        """What the launcher needs to know of it."""
        return {
            "cpu_seconds": self.cpu_seconds,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "processes": self.processes,
            "open_files": self.open_files,
        }


@dataclass(frozen=True)
class SandboxResult:
    """How a program ended, and what it printed."""

    ending: Ending
    exit_code: int | None
    """None where it was ended; negative for the signal that ended it."""
    stdout: str
    stderr: str
    stdout_cut: bool
    stderr_cut: bool
    seconds: float
    isolation: Isolation

    @property
    def succeeded(self) -> bool:
        """Whether it came to its end by itself, with exit code 0."""
        return self.ending == "exited" and self.exit_code == 0
