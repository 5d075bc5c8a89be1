"""``paddock:local:Process``: one looked-after process of this machine, and the port it answers on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree, which
from typing import Any

from components.local.launch import (
    ProcessSpec,
    StartCancelledError,
    StartError,
    is_healthy,
    start_and_wait,
)
from components.local.ports import (
    choose_port,
    describe_holder,
    holders_of,
    host_problem,
    port_is_free,
    release_port,
    reserve_port,
)
from components.local.processes import find_supervisors, is_alive, list_records, stop, stop_supervisor
from components.local.provider.fields import Field, changed_fields, check_fields, known, unknown_outputs
from components.local.provider.protocol import UNKNOWN, has_unknown
from components.local.provider.resource import Change, Failure, PartialFailureError, Properties, Session
from components.local.records import RECORD_NAME, CorruptRecordError, ProcessRecord, read_record, set_aside
from fleet_spec.errors import PaddockError

FIELDS = {
    "name": Field("string", required=True, replaces=True),
    "directory": Field("string", required=True, replaces=True),
    "command": Field("strings", required=True),
    "environment": Field("string map"),
    "host": Field("string", default="127.0.0.1"),
    "port": Field("integer", default=0, minimum=0),
    "portRangeStart": Field("integer", default=18100, minimum=1, compared=False),
    "portRangeEnd": Field("integer", default=18999, minimum=1, compared=False),
    "portKey": Field("string", default="port", compared=False),
    "healthPath": Field("string", default="/"),
    "startTimeoutSeconds": Field("number", default=60, minimum=1, compared=False),
    "stopTimeoutSeconds": Field("number", default=10, minimum=0),
    "restartKey": Field("string", default=""),
}
_OUTPUTS = ("port", "url", "logFile", "pid", "startedAt", "running")
_LAST_PORT = 65535
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DEAD_STATE: Properties = {"running": False, "pid": 0}


class PortTakenError(PaddockError):
    """A port that a program which is not this process holds."""


class ProcessType:
    """Starts, watches, restarts and stops a process through its supervisor."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:
        """See :meth:`ResourceType.check`."""
        inputs, failures = check_fields(FIELDS, given)
        wrong = {failure.property_name for failure in failures}
        usable = {key: value for key, value in inputs.items() if key not in wrong}
        name, directory, path = (known(usable, key) for key in ("name", "directory", "healthPath"))
        if name is not None and not _SAFE_NAME.fullmatch(name):
            failures.append(Failure("name", f"is {name!r}; use lower-case letters, digits, '.', '_' and '-'"))
        if directory is not None and not Path(directory).is_absolute():
            failures.append(Failure("directory", f"is {directory!r}, which is not absolute"))
        if directory is not None and name is not None and Path(directory).name != name:
            reason = (
                f"is {directory!r}; it ends in the process's name, {name!r}, because it is removed with the process"
            )
            failures.append(Failure("directory", reason))
        if path is not None and not path.startswith("/"):
            failures.append(Failure("healthPath", f"is {path!r}, which does not begin with '/'"))
        host = known(usable, "host")
        if host is not None and (problem := host_problem(host)) is not None:
            failures.append(Failure("host", f"is {host!r}: {problem}. Give an address of this machine"))
            del usable["host"]
        failures += _command_problems(usable) + _range_problems(usable) + _port_problems(usable, old_inputs)
        return inputs, failures

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        """See :meth:`ResourceType.preview`. A port and its address are known once they were chosen."""
        outputs = {**inputs, **unknown_outputs(*_OUTPUTS)}
        port = known(inputs, "port") or (state or {}).get("port")
        if port and known(inputs, "name") and known(inputs, "directory") and known(inputs, "host"):
            spec = _spec({**inputs, "command": []}, port)
            outputs |= {"port": port, "url": spec.url, "logFile": str(spec.log_file)}
        return outputs

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:
        """See :meth:`ResourceType.diff`. Looks at the machine: what died is a change, so `up` brings it back."""
        changes = changed_fields(FIELDS, old_inputs, inputs)
        if inputs.get("port") == 0 or inputs.get("port") == state.get("port"):
            changes.pop("port", None)  # the port chosen before still serves
        if not changes and not (state.get("running") and _is_running(Path(state["directory"]))):
            changes["running"] = Change("update", of_input=False)
        return changes

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:
        """See :meth:`ResourceType.create`.

        Raises:
            StartError: it does not come up; nothing of it runs any more.
            PortTakenError: its port is held by another program.
        """
        directory = Path(inputs["directory"])
        left = _take_over(directory, session)
        if left is not None:
            spec = _spec(inputs, inputs["port"] or left.port)
            if is_alive(left) and left.spec_hash == spec.hash and is_healthy(spec):
                reserve_port(spec.port, directory)
                return inputs["name"], _outputs(inputs, spec, left)
            session.status(f"stopping what an interrupted run left of {inputs['name']}")
            stop(left, inputs["stopTimeoutSeconds"])
        try:
            spec = _spec(inputs, _settle_port(inputs, None if left is None else left.port, session))
            return inputs["name"], _outputs(inputs, spec, _run(spec, session))
        except PaddockError:
            release_port(directory)
            raise

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:
        """See :meth:`ResourceType.read`. A dead process stays in the state, for its port is still its own."""
        directory = Path(state["directory"])
        record = _record_or_none(directory)
        if record is not None and is_alive(record):
            if is_healthy(_spec(state, record.port)):
                return {**state, "running": True, "pid": record.supervisor.pid, "startedAt": record.started_at}
            session.warn(f"{resource_id} runs and does not answer. The next `paddock up` restarts it.")
        else:
            last = "" if record is None or record.last_exit is None else f" (last ended with {record.last_exit})"
            session.warn(f"{resource_id} does not run{last}. The next `paddock up` starts it.")
        return {**state, **_DEAD_STATE}

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:
        """See :meth:`ResourceType.update`. Restarts the process, on its old port where the inputs allow.

        Raises:
            PartialFailureError: the new one does not come up; nothing runs.
        """
        record = _take_over(Path(inputs["directory"]), session)
        if record is not None:
            session.status(f"stopping {resource_id}")
            stop(record, inputs["stopTimeoutSeconds"])
        try:
            spec = _spec(inputs, _settle_port(inputs, state.get("port"), session))
            return _outputs(inputs, spec, _run(spec, session))
        except PaddockError as error:
            outputs = {**state, **inputs, "port": state.get("port"), **_DEAD_STATE}
            message = f"{error}\n{resource_id} is stopped. The next `paddock up` tries again."
            raise PartialFailureError(message, resource_id=resource_id, outputs=outputs) from error

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:
        """See :meth:`ResourceType.delete`."""
        directory = Path(state["directory"])
        record = _take_over(directory, session)
        stopped = record is not None and stop(record, state["stopTimeoutSeconds"])
        if record is not None and stopped and not port_is_free(state["host"], record.port):
            session.warn(
                f"{resource_id} is stopped; its port {record.port} is held by "
                f"{describe_holder(record.port)}, which is not Paddock's"
            )
        release_port(directory)
        if directory.exists():
            rmtree(directory)


def _command_problems(inputs: Properties) -> list[Failure]:
    items: list[str] | str = inputs.get("command", UNKNOWN)
    command = UNKNOWN if isinstance(items, str) else items[0]  # the whole list may be unknown
    if has_unknown(command) or which(command) is not None:
        return []
    what = "is not executable" if Path(command).is_file() else "is not there"
    return [Failure("command", f"{command!r} {what}. Install it, or correct the path")]


def _range_problems(inputs: Properties) -> list[Failure]:
    first, last = known(inputs, "portRangeStart"), known(inputs, "portRangeEnd")
    failures = [
        Failure(key, f"is {value}; the last port is {_LAST_PORT}")
        for key in ("port", "portRangeStart", "portRangeEnd")
        if (value := known(inputs, key)) is not None and value > _LAST_PORT
    ]
    if first is not None and last is not None and first > last:
        failures.append(Failure("portRangeStart", f"is {first}, after portRangeEnd, which is {last}"))
    return failures


def _port_problems(inputs: Properties, old_inputs: Properties) -> list[Failure]:
    """A port from the config that a program holds which is not this process itself."""
    port, host, directory = (known(inputs, key) for key in ("port", "host", "directory"))
    if not port or host is None or directory is None or port > _LAST_PORT or port_is_free(host, port):
        return []
    # The process may be moving: what it runs as now, under its old folder, is its own as well.
    folders = {Path(directory), Path(old_inputs.get("directory", directory))}
    if any(_is_ours(folder, port) for folder in folders):
        return []
    return [Failure(inputs.get("portKey", "port"), _port_taken(port, host, Path(directory)))]


def _is_ours(directory: Path, port: int) -> bool:
    record = _record_or_none(directory)
    # Where the record is lost, its supervisor is found by its command line, and stopped before a new one starts.
    return bool(find_supervisors(directory)) if record is None else _holds(record, port)


def _port_taken(port: int, host: str, directory: Path) -> str:
    siblings = [one for one in list_records(directory.parent) if isinstance(one, ProcessRecord) and _holds(one, port)]
    holder = f"{siblings[0].name!r} of this stack" if siblings else describe_holder(port)
    return f"port {port} on {host} is held by {holder}. Stop that program, or choose another port"


def _holds(record: ProcessRecord, port: int) -> bool:
    """Whether the process of a record, or what is left of it, is what listens on a port."""
    if record.port != port:
        return False
    if record.supervisor.is_alive:
        return True
    return record.child is not None and record.child.is_alive and record.child.pid in holders_of(port)


def _settle_port(inputs: Properties, previous: int | None, session: Session) -> int:
    """The port to start on. The process itself is stopped when this is called, so any holder is a stranger."""
    directory, host, port = Path(inputs["directory"]), inputs["host"], inputs["port"]
    if port:
        if not port_is_free(host, port):
            raise PortTakenError(f"{inputs['portKey']}: {_port_taken(port, host, directory)}.")
        reserve_port(port, directory)
        return port
    chosen = choose_port(host, inputs["portRangeStart"], inputs["portRangeEnd"], directory, preferred=previous)
    if previous and chosen != previous:
        session.warn(f"port {previous} is held by {describe_holder(previous)}; using {chosen} from now on")
    return chosen


def _run(spec: ProcessSpec, session: Session) -> ProcessRecord:
    if session.cancelled.is_set():
        raise StartCancelledError(f"cancelled before {spec.name!r} was started. The next `paddock up` starts it.")
    session.status(f"starting {spec.name} on port {spec.port}")
    record = start_and_wait(spec, progress=session.status, cancelled=session.cancelled.is_set)
    session.status(f"{spec.name} answers on {spec.url}")
    return record


def _take_over(directory: Path, session: Session) -> ProcessRecord | None:
    """The record in ``directory``. A corrupt one is set aside; what a lost record stood for is stopped."""
    try:
        record = read_record(directory)
    except CorruptRecordError as error:
        kept = set_aside(error.path)
        session.warn(f"{error.path} could not be read and was set aside as {kept}; the process is started anew")
        record = None
    if record is None:  # the folder itself may be gone, which stops nothing
        for supervisor in find_supervisors(directory):
            stop_supervisor(supervisor, FIELDS["stopTimeoutSeconds"].default)
        (directory / RECORD_NAME).unlink(missing_ok=True)  # written by the supervisor while it stopped
    return record


def _record_or_none(directory: Path) -> ProcessRecord | None:
    try:
        return read_record(directory)
    except CorruptRecordError:
        return None


def _is_running(directory: Path) -> bool:
    record = _record_or_none(directory)
    return record is not None and is_alive(record)


def _spec(inputs: Mapping[str, Any], port: int) -> ProcessSpec:
    return ProcessSpec(
        name=inputs["name"],
        directory=Path(inputs["directory"]),
        command=tuple(inputs["command"]),
        environment=inputs.get("environment", {}),
        host=inputs["host"],
        port=port,
        health_path=inputs["healthPath"],
        start_timeout_seconds=inputs["startTimeoutSeconds"],
        stop_timeout_seconds=inputs["stopTimeoutSeconds"],
        restart_key=inputs["restartKey"],
    )


def _outputs(inputs: Properties, spec: ProcessSpec, record: ProcessRecord) -> Properties:
    return {
        **inputs,
        "port": spec.port,
        "url": spec.url,
        "logFile": str(spec.log_file),
        "pid": record.supervisor.pid,
        "startedAt": record.started_at,
        "running": True,
    }


__all__ = ["FIELDS", "PortTakenError", "ProcessType", "StartCancelledError", "StartError"]
