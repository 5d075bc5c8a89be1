"""Who a process is: its id together with its start time, because ids are used again.

On Linux the start time is the kernel's own count of clock ticks, with the id of the boot it belongs to:
it stays the same when somebody sets the clock. Elsewhere it is what psutil reports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUN_VARIABLE = "PADDOCK_RUN"
"""In the environment of a supervised process: the random token of the run it belongs to."""

_PROC = Path("/proc")
LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True)
class ProcessId:
    """One process of this machine, for ever: no other process, before or later, has the same pair."""

    pid: int
    start_time: str
    """Opaque: compare it for equality, nothing else."""

    @property
    def is_alive(self) -> bool:
        """Whether exactly this process still runs. A zombie does not."""
        return start_time_of(self.pid) == self.start_time


def identify(pid: int) -> ProcessId | None:
    """The process that has the id ``pid`` now, or None where none lives."""
    start_time = start_time_of(pid)
    return None if start_time is None else ProcessId(pid, start_time)


def start_time_of(pid: int) -> str | None:
    """The start time of the living process ``pid``; None where there is none, or only a zombie."""
    if LINUX:
        fields = _stat_fields(pid)
        return None if fields is None else f"{_boot_id()}:{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except psutil.Error:
        return None


def group_members(group_id: int) -> list[int]:
    """The living processes of a process group, zombies left out."""
    if LINUX:
        pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
        stats = ((pid, _stat_fields(pid)) for pid in pids)
        return [pid for pid, fields in stats if fields is not None and int(fields[2]) == group_id]
    import psutil

    members: list[int] = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == group_id and start_time_of(pid) is not None:
                members.append(pid)
        except OSError:  # it ended, or belongs to someone who hides it
            continue
    return members


def orphans_of(group_id: int, token: str) -> list[int]:
    """Members of a process group that were started, directly or not, with ``token`` as their run's token.

    For groups whose leader is gone: by the group's number alone they could be anybody's.
    """
    return [pid for pid in group_members(group_id) if environment_of(pid).get(RUN_VARIABLE) == token]


def signal_process(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process of this user was started with; empty where it cannot be read."""
    if LINUX:
        try:
            entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return {}
        pairs = (entry.decode(errors="replace").partition("=") for entry in entries if entry)
        return {name: value for name, _, value in pairs}
    import psutil

    try:
        return psutil.Process(pid).environ()
    except psutil.Error:
        return {}


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state on (index 0), or None where the process is gone or a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command's name, in parentheses, may hold spaces and parentheses of its own.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZXx" else fields


@cache
def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
