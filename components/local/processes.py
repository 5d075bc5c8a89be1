"""Supervised processes as seen from outside: which there are, whether they live, how to stop one.

Used by the provider and by the command's ``status`` and ``doctor``. A process is signalled only when its
id and its start time are those of the record, so a stranger that got the id later is never touched.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from components.local.identity import (
    LINUX,
    ProcessId,
    group_members,
    identify,
    orphans_of,
    signal_process,
)
from components.local.records import (
    RECORD_NAME,
    CorruptRecordError,
    ProcessRecord,
    read_record,
)
from fleet_spec.errors import PaddockError

__all__ = [
    "CorruptRecordError",
    "ProcessRecord",
    "StopError",
    "find_supervisors",
    "find_supervisors_below",
    "is_alive",
    "list_records",
    "read_record",
    "stop",
    "stop_supervisor",
]

SUPERVISOR_MODULE = "components.local.supervisor"
_POLL_SECONDS = 0.05
_KILL_GRACE_SECONDS = 5.0
"""What the supervisor may take on top of its child's time limit, and the kernel to carry out a SIGKILL."""


class StopError(PaddockError):
    """A process that still runs after SIGKILL."""


def is_alive(record: ProcessRecord) -> bool:
    """Whether both the supervisor and the process it looks after run."""
    return record.supervisor.is_alive and record.child is not None and record.child.is_alive


def list_records(root: Path) -> list[ProcessRecord | CorruptRecordError]:
    """Every record in the folders directly below ``root``, by folder name; damaged ones as their error."""
    found: list[ProcessRecord | CorruptRecordError] = []
    for path in sorted(root.glob(f"*/{RECORD_NAME}")):
        try:
            record = read_record(path.parent)
        except CorruptRecordError as error:
            found.append(error)
        else:
            if record is not None:
                found.append(record)
    return found


def stop(record: ProcessRecord, timeout_seconds: float) -> bool:
    """Stop a supervised process and everything it started. The record stays where it is.

    Args:
        record: Which one.
        timeout_seconds: How long it may take to end after SIGTERM; then it is killed.

    Returns:
        Whether anything ran.

    Raises:
        StopError: something still runs after SIGKILL.
    """
    stopped = stop_supervisor(record.supervisor, timeout_seconds)
    # The supervisor may have started the child anew since this record was read.
    latest = _latest(record)
    if latest.child is not None:
        stopped = _stop_group(latest.child, latest.token, timeout_seconds) or stopped
    return stopped


def stop_supervisor(supervisor: ProcessId, timeout_seconds: float) -> bool:
    """Tell a supervisor to stop its process and end; kill it where it does not.

    Returns:
        Whether it ran.

    Raises:
        StopError: it still runs after SIGKILL.
    """
    if not _signal(supervisor, signal.SIGTERM):
        return False
    if not _wait_until_gone(supervisor, timeout_seconds + 2 * _KILL_GRACE_SECONDS):
        _signal(supervisor, signal.SIGKILL)
        if not _wait_until_gone(supervisor, _KILL_GRACE_SECONDS):
            raise StopError(f"process {supervisor.pid} still runs after SIGKILL. Restart the machine to get rid of it.")
    return True


def find_supervisors(directory: Path) -> list[ProcessId]:
    """Supervisors of ``directory`` that run, found by their command line: for when the record is lost."""
    return [process for folder, process in _supervisors() if folder == directory]


def find_supervisors_below(root: Path) -> list[tuple[Path, ProcessId]]:
    """Supervisors of the folders directly below ``root``, by folder, whether the folders are there or not."""
    return sorted((one for one in _supervisors() if one[0].parent == root), key=lambda one: one[0])


def _supervisors() -> list[tuple[Path, ProcessId]]:
    """This user's supervisors, each with the folder that it was given."""
    import psutil

    mine = os.getuid()
    found: list[tuple[Path, ProcessId]] = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()[-2:] if process.uids().real == mine else []
        except psutil.Error:
            continue
        identity = identify(process.pid) if command[:1] == [SUPERVISOR_MODULE] else None
        if identity is not None:
            found.append((Path(command[1]), identity))
    return found


def _latest(record: ProcessRecord) -> ProcessRecord:
    try:
        latest = read_record(record.directory)
    except CorruptRecordError:
        return record
    return latest if latest is not None and latest.token == record.token and latest.child else record


def _stop_group(leader: ProcessId, token: str, timeout_seconds: float) -> bool:
    """End a process group whose supervisor is gone: all of it if its leader lives, else what bears the token."""

    def members() -> list[int]:
        return group_members(leader.pid) if leader.is_alive else orphans_of(leader.pid, token)

    if not members():
        return False
    for number, limit_seconds in ((signal.SIGTERM, timeout_seconds), (signal.SIGKILL, _KILL_GRACE_SECONDS)):
        deadline = time.monotonic() + limit_seconds
        targets = members()
        for pid in targets:
            signal_process(pid, number)
        while members():
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return True
    raise StopError(f"processes {members()} still run after SIGKILL. Restart the machine to get rid of them.")


def _signal(process: ProcessId, number: signal.Signals) -> bool:
    """Signal exactly this process. Returns False where it is gone."""
    if LINUX:
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            return False
        try:
            # The descriptor stands for one process for ever; compare after it is open.
            if not process.is_alive:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True
    if not process.is_alive:
        return False
    signal_process(process.pid, number)
    return True


def _wait_until_gone(process: ProcessId, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while process.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
