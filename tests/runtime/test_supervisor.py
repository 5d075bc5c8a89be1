"""The supervisor with real processes: what it starts, brings back, stops, and never touches."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from components.local.identity import LINUX, identify, start_time_of
from components.local.launch import (
    ProcessSpec,
    StartCancelledError,
    StartError,
    is_healthy,
    start,
    start_and_wait,
)
from components.local.ports import port_is_free
from components.local.processes import find_supervisors, is_alive, stop
from components.local.records import ProcessRecord, read_record
from components.local.supervisor_spec import SupervisorSpec
from tests.ports import free_port
from tests.runtime.local_servers import grandchild_of, server_command, wait_for

pytestmark = pytest.mark.runtime


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def spec(tmp_path: Path) -> Iterator[ProcessSpec]:
    directory = tmp_path / "processes" / "tiny-0"
    port = free_port()
    yield ProcessSpec(
        "tiny-0",
        directory,
        tuple(server_command()),
        port,
        environment={"GREETING": "hello from {port}"},
        start_timeout_seconds=20,
        stop_timeout_seconds=0.5,
    )
    with suppress(Exception):
        record = read_record(directory)
        if record is not None:
            stop(record, timeout_seconds=0)


def ask(spec: ProcessSpec, path: str = "/") -> str:
    with suppress(OSError), urllib.request.urlopen(spec.url + path, timeout=5) as reply:
        return reply.read().decode()
    return ""


def launch(spec: ProcessSpec) -> ProcessRecord:
    return start_and_wait(spec, progress=lambda _: None, cancelled=lambda: False)


def current(spec: ProcessSpec) -> ProcessRecord:
    record = read_record(spec.directory)
    assert record is not None
    return record


def test_a_process_is_started_answers_and_is_stopped(spec: ProcessSpec):
    record = launch(spec)

    assert is_alive(record)
    assert record.child is not None
    assert ask(spec) == f"hello from {spec.port} {record.child.pid}"
    assert f"starting with pid {record.child.pid}" in spec.log_file.read_text()

    assert stop(record, timeout_seconds=5) is True
    assert not is_alive(record)
    assert port_is_free("127.0.0.1", spec.port)
    assert current(spec).state == "stopped"
    assert stop(record, timeout_seconds=5) is False


def test_nothing_of_the_callers_is_held(spec: ProcessSpec):
    """An inherited pipe would keep the engine waiting, an inherited session would end with the terminal."""
    record = launch(spec)
    assert record.child is not None

    for process in (record.supervisor, record.child):
        assert os.getsid(process.pid) == process.pid
    if LINUX:
        held = {fd.readlink() for fd in Path(f"/proc/{record.supervisor.pid}/fd").iterdir()}
        mine = {Path(f"/proc/self/fd/{number}").readlink() for number in (0, 1, 2)}
        assert not (held & mine) - {Path("/dev/null")}
        assert Path(f"/proc/{record.supervisor.pid}/cwd").readlink() == spec.directory


def test_secrets_stand_in_no_file_and_no_argument(spec: ProcessSpec):
    secret = "-".join(["not", "for", "others"])
    record = launch(replace(spec, environment={"GREETING": secret}))

    assert secret in ask(spec)
    for path in spec.directory.iterdir():
        assert secret not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
    arguments = " ".join(psutil.Process(record.supervisor.pid).cmdline())
    assert str(spec.directory) in arguments
    assert secret not in arguments


def test_a_crash_is_followed_by_a_restart(spec: ProcessSpec):
    first = launch(spec)
    ask(spec, "/crash")
    wait_for("a restart", lambda: current(spec).restarts == 1 and is_alive(current(spec)))

    second = current(spec)
    assert second.child != first.child
    assert second.supervisor == first.supervisor
    assert second.last_exit is not None
    assert second.last_exit.code == 3
    wait_for("an answer", lambda: is_healthy(spec))
    assert "ended with exit code 3; starting it again in 0.5 s" in spec.log_file.read_text()


def test_crashes_in_a_row_are_spaced_out(spec: ProcessSpec):
    start(replace(spec, command=tuple(server_command("broken"))))
    wait_for("three restarts", lambda: current(spec).restarts >= 3)

    waits = [line.rpartition(" in ")[2] for line in spec.log_file.read_text().splitlines() if "again in" in line]
    assert waits[:3] == ["0.5 s", "1 s", "2 s"]


@pytest.mark.skipif(not LINUX, reason="the kernel ends the child with its supervisor on Linux only")
def test_a_killed_supervisor_takes_the_process_with_it(spec: ProcessSpec):
    record = launch(spec)
    assert record.child is not None
    child = record.child

    os.kill(record.supervisor.pid, signal.SIGKILL)

    wait_for("the child's end", lambda: not child.is_alive)
    assert not is_alive(current(spec))


def test_what_outlives_a_killed_supervisor_is_found_by_its_run_and_stopped(spec: ProcessSpec):
    record = launch(replace(spec, command=tuple(server_command("children"))))
    assert record.child is not None
    child, grandchild = record.child, grandchild_of(spec.directory)
    os.kill(record.supervisor.pid, signal.SIGKILL)
    os.kill(child.pid, signal.SIGKILL)
    wait_for("the child's end", lambda: not child.is_alive)
    assert start_time_of(grandchild) is not None

    assert stop(record, timeout_seconds=0.2) is True
    assert start_time_of(grandchild) is None


def test_a_deaf_process_and_its_children_are_killed(spec: ProcessSpec):
    record = launch(replace(spec, command=tuple(server_command("stubborn", "children"))))
    grandchild = grandchild_of(spec.directory)

    assert stop(record, timeout_seconds=0.5) is True

    assert record.child is not None
    assert not record.child.is_alive
    assert start_time_of(grandchild) is None
    assert "did not end in 0.5 s after SIGTERM; killing it" in spec.log_file.read_text()


def test_what_a_crashed_process_left_behind_is_killed_before_it_is_started_again(spec: ProcessSpec):
    launch(replace(spec, command=tuple(server_command("children"))))
    left_behind = grandchild_of(spec.directory)

    ask(spec, "/crash")

    wait_for("the grandchild's end", lambda: start_time_of(left_behind) is None)
    wait_for("a restart", lambda: is_healthy(spec))


def test_a_supervisor_that_cannot_hear_is_killed(spec: ProcessSpec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.local.processes._KILL_GRACE_SECONDS", 1.0)
    record = launch(spec)
    os.kill(record.supervisor.pid, signal.SIGSTOP)

    assert stop(record, timeout_seconds=0.2) is True

    assert not record.supervisor.is_alive
    assert port_is_free("127.0.0.1", spec.port)


def test_a_stranger_is_never_signalled(spec: ProcessSpec):
    """After a reboot the ids of a record belong to anybody."""
    record = launch(spec)
    stop(record, timeout_seconds=5)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        try:
            reused = identify(stranger.pid)
            assert reused is not None
            stale = replace(reused, start_time="another boot:1")
            replace(record, supervisor=stale, child=stale).write()

            assert not is_alive(current(spec))
            assert stop(current(spec), timeout_seconds=0.2) is False
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_supervisor_without_a_record_is_found_by_its_command_line(spec: ProcessSpec):
    record = launch(spec)

    assert find_supervisors(spec.directory) == [record.supervisor]
    assert find_supervisors(spec.directory.parent) == []


def test_the_log_is_rotated_while_the_process_runs(spec: ProcessSpec):
    told = SupervisorSpec(
        name=spec.name,
        directory=str(spec.directory),
        command=server_command(port=str(spec.port)),
        environment=dict(os.environ),
        port=spec.port,
        spec_hash="",
        token="token",
        stop_timeout_seconds=1,
        log_max_bytes=3000,
        log_files=2,
    )
    subprocess.run(
        [sys.executable, "-m", "components.local.supervisor", told.directory], input=told.to_json(), check=True
    )
    wait_for("an answer", lambda: is_healthy(spec))

    for _ in range(10):
        ask(spec, "/chatter")

    def sizes() -> list[int]:
        # In the middle of a rotation a file may be gone for a moment.
        with suppress(FileNotFoundError):
            return [path.stat().st_size for path in spec.directory.glob("output.log*")]
        return []

    wait_for("two files, both of bounded size", lambda: len(found := sizes()) == 2 and max(found) <= 3000)
    assert not (spec.directory / "output.log.2").exists()


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (["broken"], "'tiny-0' ended with exit code 1 before it answered"),
        (["silent"], r"did not answer GET .* with 200 within 1 s"),
        (["unhealthy"], r"did not answer GET .* with 200 within 1 s"),
    ],
)
def test_a_failed_start_shows_the_log_and_leaves_nothing(spec: ProcessSpec, wishes: list[str], message: str):
    limit_seconds = 20 if "broken" in wishes else 1

    with pytest.raises(StartError, match=message) as caught:
        launch(replace(spec, command=tuple(server_command(*wishes)), start_timeout_seconds=limit_seconds))

    assert str(spec.log_file) in str(caught.value)
    assert "starting with pid" in str(caught.value)
    assert ("no such weights: tiny.gguf" in str(caught.value)) == ("broken" in wishes)
    assert find_supervisors(spec.directory) == []
    assert port_is_free("127.0.0.1", spec.port)
    assert read_record(spec.directory) is None


def test_a_program_that_cannot_be_run_is_named(spec: ProcessSpec, tmp_path: Path):
    with pytest.raises(StartError, match=r"cannot start '/no/such/program': .*No such file"):
        launch(replace(spec, command=("/no/such/program",)))


def test_only_lines_of_this_start_are_shown(spec: ProcessSpec):
    spec.directory.mkdir(parents=True)
    spec.log_file.write_text("an older failure\n")

    with pytest.raises(StartError) as caught:
        launch(replace(spec, command=tuple(server_command("broken"))))

    assert "an older failure" not in str(caught.value)
    assert "an older failure" in spec.log_file.read_text()


def test_a_cancelled_start_leaves_nothing(spec: ProcessSpec):
    words: list[str] = []
    cancelled: Callable[[], bool] = lambda: len(words) > 0  # noqa: E731

    with pytest.raises(StartCancelledError, match="it was stopped"):
        start_and_wait(
            replace(spec, command=tuple(server_command("silent"))), progress=words.append, cancelled=cancelled
        )

    assert "waiting for tiny-0: 1 s, last log line: starting with pid" in words[0]
    assert find_supervisors(spec.directory) == []
    assert read_record(spec.directory) is None
