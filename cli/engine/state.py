"""Reading what the engine left in Paddock's own backend, without starting the engine."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from cli.engine.home import Backend
from fleet_spec.errors import BadInputError, PaddockError

STACK_TYPE = "pulumi:pulumi:Stack"
_CLOCK_TOLERANCE_SECONDS = 2.0
"""How far a process's start time and a lock's timestamp may disagree, since two clocks tell them."""


class LockedError(PaddockError):
    """Another operation is at work on the stack."""


@dataclass(frozen=True)
class StackState:
    """What a state file tells: outputs in plain text, and how many resources there are."""

    outputs: dict[str, Any]
    """Plain outputs; a secret one is here as the mapping that holds its ciphertext."""
    resources: int
    """Resources of any kind, the stack and its providers counted."""
    urns: frozenset[str] = frozenset()
    """Their names in the state."""
    creating: bool = False
    """Whether the engine was cut off while it made something, and cannot know whether that is there."""
    protected: tuple[str, ...] = ()
    """Those of them that the engine is to keep from deletion."""


def read_state(backend: Backend, stack: str) -> StackState | None:
    """A stack's state; None where the backend is not Paddock's own or holds no such stack.

    Raises:
        BadInputError: the state file is corrupt. The engine keeps a copy beside it, which the text names.
    """
    path = backend.state_file(stack)
    if path is None or not path.exists():
        return None
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
        checkpoint = cast("dict[str, Any]", document)["checkpoint"]
        latest = cast("dict[str, Any]", checkpoint.get("latest") or {})
        resources = cast("list[dict[str, Any]]", latest.get("resources") or [])
        outputs = next((r.get("outputs") for r in resources if r.get("type") == STACK_TYPE), None)
        pending = cast("list[dict[str, Any]]", latest.get("pending_operations") or [])
        urns = frozenset(str(one.get("urn")) for one in resources)
        creating = any(one.get("type") == "creating" for one in pending)
        protected = protected_urns(resources)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(_corrupt(path, error)) from error
    nothing: dict[str, Any] = {}
    return StackState(outputs or nothing, len(resources), urns, creating, protected)


def protected_urns(resources: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Which resources of a state the engine is to keep from deletion."""
    return tuple(str(one.get("urn")) for one in resources if one.get("protect") is True)


def _corrupt(path: Path, error: Exception) -> str:
    backup = path.with_name(f"{path.name}.bak")
    if backup.exists():
        fix = f"put the engine's own copy back: cp {backup} {path}"
    else:
        fix = f"move it aside (mv {path} {path}.corrupt), and run `paddock up` to build the fleet anew"
    return f"the state of this stack cannot be read: {path}: {error!r}\n    fix: {fix}"


def clear_stale_locks(backend: Backend, stack: str) -> list[str]:
    """Remove the locks that dead processes of this machine left; returns a line for each.

    Raises:
        LockedError: a living process, or one of another machine, holds a lock.
    """
    directory = backend.lock_directory(stack)
    if directory is None or not directory.is_dir():
        return []
    removed: list[str] = []
    for path in sorted(directory.glob("*.json")):
        try:
            lock = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
            pid, host, since = int(lock["pid"]), str(lock["hostname"]), str(lock["timestamp"])
        except (ValueError, KeyError, TypeError):
            pid, host, since = 0, socket.gethostname(), "an unknown time"
        if host == socket.gethostname() and not _still_works(pid, since):
            path.unlink(missing_ok=True)
            removed.append(f"removed the lock of process {pid}, which died while it worked on {stack!r} ({since})")
            continue
        raise LockedError(
            f"process {pid} on {host} has been working on stack {stack!r} since {since}. "
            f"fix: wait for it; if it is gone for good, remove {path}"
        )
    return removed


def clear_broken_metadata(backend: Backend, stack: str) -> None:
    """Remove metadata that a killed engine left half written beside a state: it would refuse to read that state.

    They say nothing that is needed. In a backend of Paddock's own they are not written; see ``engine_environment``.
    """
    path = backend.state_file(stack)
    if path is None:
        return
    for metadata in (path.with_name(f"{path.name}.attrs"), path.with_name(f"{path.name}.bak.attrs")):
        try:
            json.loads(metadata.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except ValueError:
            metadata.unlink(missing_ok=True)


def _still_works(pid: int, since: str) -> bool:
    """Whether the process that took a lock is still there, and is not another that got its id later."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        taken_at = datetime.fromisoformat(since).timestamp()
        return process.create_time() <= taken_at + _CLOCK_TOLERANCE_SECONDS
    except (psutil.Error, ValueError):
        return False
