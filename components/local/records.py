"""What a supervisor writes down about itself: one small JSON file in the process's folder.

The supervisor writes it anew on each change; the provider, ``status`` and ``doctor`` read it. It holds
no command and no environment, so no secret either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from components.local.files import atomic_write
from components.local.identity import ProcessId
from fleet_spec.errors import PaddockError

RECORD_VERSION = 1
RECORD_NAME = "record.json"
LOG_NAME = "output.log"
SUPERVISOR_LINE = "[paddock "
"""How lines begin that the supervisor itself writes into the log, about restarts; a time follows."""

State = Literal["starting", "running", "backoff", "stopped"]


class CorruptRecordError(PaddockError):
    """A record that cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be read: {reason}. The next `paddock up` sets it aside and starts the process anew."
        )


@dataclass(frozen=True)
class LastExit:
    """How the child ended last."""

    code: int | None
    """Its exit code, or None where a signal ended it."""
    signal: int | None
    at: str
    """When, as ISO 8601 in UTC."""

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.signal is not None else f"exit code {self.code}"


@dataclass(frozen=True)
class ProcessRecord:
    """What is known about one supervised process."""

    name: str
    directory: Path
    spec_hash: str
    """SHA-256 over everything that makes a restart necessary when it changes."""
    token: str
    """Random, made at each start, and in the environment of the child and all that it starts."""
    port: int
    supervisor: ProcessId
    started_at: str
    """When the supervisor started, as ISO 8601 in UTC."""
    child: ProcessId | None = None
    """The program looked after, also the leader of its process group. None while it waits to be restarted."""
    state: State = "starting"
    restarts: int = 0
    last_exit: LastExit | None = None

    @property
    def log_file(self) -> Path:
        """What the child wrote last, standard output and error together."""
        return self.directory / LOG_NAME

    def write(self) -> None:
        """Replace the record in its folder."""
        data: dict[str, Any] = {
            "version": RECORD_VERSION,
            "name": self.name,
            "specHash": self.spec_hash,
            "token": self.token,
            "port": self.port,
            "supervisor": _id_to_json(self.supervisor),
            "startedAt": self.started_at,
            "child": None if self.child is None else _id_to_json(self.child),
            "state": self.state,
            "restarts": self.restarts,
            "lastExit": None
            if self.last_exit is None
            else {"code": self.last_exit.code, "signal": self.last_exit.signal, "at": self.last_exit.at},
        }
        atomic_write(self.directory / RECORD_NAME, json.dumps(data, indent=2).encode() + b"\n")


def read_record(directory: Path) -> ProcessRecord | None:
    """The record in ``directory``, or None where there is none.

    Raises:
        CorruptRecordError: there is one, and it is damaged or of another version.
    """
    path = directory / RECORD_NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorruptRecordError(path, error.strerror or str(error)) from error
    try:
        return _from_json(json.loads(text), directory)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRecordError(path, f"{type(error).__name__}: {error}") from error


def set_aside(path: Path) -> Path:
    """Rename a corrupt record to ``record.json.corrupt-<n>``, the first n that is free, and return that."""
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def _id_to_json(process: ProcessId) -> dict[str, Any]:
    return {"pid": process.pid, "startTime": process.start_time}


def _id_from_json(data: Any) -> ProcessId:
    pid = int(data["pid"])
    if pid <= 1:  # 0 and negative ids mean whole groups to kill(2); 1 is never ours
        raise ValueError(f"{pid} is not the id of a process of Paddock's")
    return ProcessId(pid, str(data["startTime"]))


def _from_json(data: Any, directory: Path) -> ProcessRecord:
    if data["version"] != RECORD_VERSION:
        raise ValueError(f"it is of version {data['version']!r}; this Paddock reads version {RECORD_VERSION}")
    if data["state"] not in get_args(State):
        raise ValueError(f"unknown state {data['state']!r}")
    last = data["lastExit"]
    return ProcessRecord(
        name=str(data["name"]),
        directory=directory,
        spec_hash=str(data["specHash"]),
        token=str(data["token"]),
        port=int(data["port"]),
        supervisor=_id_from_json(data["supervisor"]),
        started_at=str(data["startedAt"]),
        child=None if data["child"] is None else _id_from_json(data["child"]),
        state=data["state"],
        restarts=int(data["restarts"]),
        last_exit=None if last is None else LastExit(last["code"], last["signal"], str(last["at"])),
    )
