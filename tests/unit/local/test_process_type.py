"""What a Process says about its inputs and its state, before anything is started."""

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.local.identity import ProcessId, identify
from components.local.launch import ProcessSpec, inherited_environment
from components.local.provider.process import ProcessType
from components.local.provider.protocol import UNKNOWN
from components.local.records import ProcessRecord

pytestmark = pytest.mark.unit
PROCESS = ProcessType()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "assistant-0",
        "directory": str(tmp_path / "processes" / "assistant-0"),
        "command": [sys.executable, "-m", "http.server", "{port}"],
    }


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def me() -> ProcessId:
    found = identify(os.getpid())
    assert found is not None
    return found


def running_record(directory: str, *, port: int = 18101) -> ProcessRecord:
    """A record of a process that lives: this test's own. Nothing here stops anything."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    record = ProcessRecord(
        name=Path(directory).name,
        directory=Path(directory),
        spec_hash="",
        token="token",
        port=port,
        supervisor=me(),
        started_at="2030-01-01T00:00:00+00:00",
        child=me(),
        state="running",
    )
    record.write()
    return record


def failures_of(given: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, str]:
    return {failure.property_name: failure.reason for failure in PROCESS.check(given, old or {})[1]}


def state_of(inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**inputs, "port": 18101, "url": "http://127.0.0.1:18101", "running": True, "pid": 5, **more}


class TestCheck:
    def test_defaults_are_filled_in(self, given):
        inputs, failures = PROCESS.check(given, {})

        assert failures == []
        assert inputs["host"] == "127.0.0.1"
        assert inputs["port"] == 0
        assert inputs["healthPath"] == "/"
        assert "environment" not in inputs

    def test_every_mistake_is_found_at_once(self, given):
        wrong = failures_of(
            {
                "name": "No Name!",
                "directory": "relative",
                "command": ["/no/such/program"],
                "port": "8080",
                "environment": {"A": 1},
                "healthPath": "health",
                "startTimeoutSeconds": 0,
                "portRangeStart": 9,
                "portRangeEnd": 8,
                "host": "no such host",
                "colour": "red",
            }
        )

        assert set(wrong) == {
            "name",
            "directory",
            "command",
            "port",
            "environment",
            "healthPath",
            "startTimeoutSeconds",
            "portRangeStart",
            "host",
            "colour",
        }
        assert "'/no/such/program' is not there" in wrong["command"]
        assert "takes: " in wrong["colour"]

    def test_what_is_required_is_missed(self):
        assert failures_of({}) == dict.fromkeys(("name", "directory", "command"), "is missing")
        assert failures_of({"name": "a", "directory": "/a", "command": []}) == {"command": "is empty"}

    def test_a_folder_that_is_not_the_process_s_own_is_refused(self, given, tmp_path):
        """It is removed in the end, with all that is in it."""
        assert "it ends in the process's name" in failures_of({**given, "directory": str(tmp_path)})["directory"]

    def test_a_program_that_cannot_be_run_is_told_from_one_that_is_absent(self, given, tmp_path):
        (tmp_path / "program").write_text("")
        wrong = failures_of({**given, "command": [str(tmp_path / "program")]})

        assert "is not executable" in wrong["command"]

    def test_values_that_are_not_known_yet_pass(self, given):
        for unknown in ({"command": UNKNOWN}, {"command": [UNKNOWN]}, {"environment": {"A": UNKNOWN}}):
            inputs, failures = PROCESS.check({**given, **unknown}, {})
            assert failures == []
            assert inputs[next(iter(unknown))] == next(iter(unknown.values()))

    def test_a_port_held_by_a_stranger_is_named_with_holder_and_key(self, given, listener):
        wrong = failures_of({**given, "port": listener, "portKey": "router.port"})

        assert f"port {listener} on 127.0.0.1 is held by" in wrong["router.port"]
        assert str(os.getpid()) in wrong["router.port"]

    def test_a_port_held_by_the_process_itself_is_fine(self, given, listener):
        running_record(given["directory"], port=listener)

        assert failures_of({**given, "port": listener}) == {}

    def test_a_process_that_moves_may_keep_its_port(self, given, listener, tmp_path):
        old = {**given, "directory": str(tmp_path / "processes" / "before"), "port": listener}
        running_record(old["directory"], port=listener)

        assert failures_of({**given, "port": listener}, old) == {}
        assert "'before' of this stack" in failures_of({**given, "port": listener})["port"]


class TestDiff:
    def diff(self, given, changed: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
        old = PROCESS.check(given, {})[0]
        new = PROCESS.check({**given, **(changed or {})}, {})[0]
        return {name: change.kind for name, change in PROCESS.diff(state_of(old, **state), old, new).items()}

    def test_the_same_inputs_and_a_living_process_are_no_change(self, given):
        running_record(given["directory"])

        assert self.diff(given) == {}

    def test_a_log_that_was_removed_is_no_change(self, given):
        running_record(given["directory"]).log_file.unlink(missing_ok=True)

        assert self.diff(given) == {}

    def test_a_chosen_port_satisfies_a_port_left_open(self, given):
        running_record(given["directory"])

        assert self.diff(given, {"port": 0}) == {}
        assert self.diff(given, {"port": 18101}) == {}
        assert self.diff(given, {"port": 18102}) == {"port": "update"}

    @pytest.mark.parametrize(
        "changed",
        [
            {"command": [sys.executable]},
            {"environment": {"A": "b"}},
            {"healthPath": "/health"},
            {"restartKey": "2"},
            {"host": "0.0.0.0"},
            {"command": UNKNOWN},
        ],
        ids=lambda changed: f"{next(iter(changed))}",
    )
    def test_what_the_process_is_told_restarts_it(self, given, changed):
        running_record(given["directory"])

        assert self.diff(given, changed) == {next(iter(changed)): "update"}

    @pytest.mark.parametrize("changed", [{"startTimeoutSeconds": 99}, {"portRangeEnd": 18200}, {"portKey": "x"}])
    def test_what_only_the_start_uses_does_not(self, given, changed):
        running_record(given["directory"])

        assert self.diff(given, changed) == {}

    def test_another_name_or_folder_is_another_process(self, given, tmp_path):
        running_record(given["directory"])

        moved = {"name": "b", "directory": str(tmp_path / "b")}
        assert self.diff(given, moved) == {"name": "replace", "directory": "replace"}
        assert self.diff(given, {"directory": str(tmp_path / given["name"])}) == {"directory": "replace"}

    def test_what_died_is_a_change(self, given):
        record = running_record(given["directory"])
        gone = ProcessId(record.supervisor.pid, "another boot:1")

        replace(record, supervisor=gone).write()
        assert self.diff(given) == {"running": "update"}
        replace(record, child=gone).write()
        assert self.diff(given) == {"running": "update"}
        replace(record, child=None, state="backoff").write()
        assert self.diff(given) == {"running": "update"}
        (record.directory / "record.json").write_text("{")
        assert self.diff(given) == {"running": "update"}
        (record.directory / "record.json").unlink()
        assert self.diff(given) == {"running": "update"}

    def test_what_a_refresh_saw_dead_is_a_change(self, given):
        running_record(given["directory"])

        assert self.diff(given, running=False) == {"running": "update"}


class TestPreview:
    def test_a_chosen_port_is_not_known_before_it_is_chosen(self, given):
        inputs = PROCESS.check(given, {})[0]
        outputs = PROCESS.preview(inputs, None)

        assert (outputs["port"], outputs["url"]) == (UNKNOWN, UNKNOWN)

    def test_a_fixed_or_kept_port_is(self, given):
        inputs = PROCESS.check(given, {})[0]

        assert PROCESS.preview({**inputs, "port": 8080}, None)["url"] == "http://127.0.0.1:8080"
        assert PROCESS.preview(inputs, state_of(inputs))["url"] == "http://127.0.0.1:18101"
        assert PROCESS.preview({**inputs, "command": UNKNOWN}, state_of(inputs))["port"] == 18101


class TestSpec:
    SPEC = ProcessSpec("a", Path("/a"), ("program",), 1, environment={"KEY": "value"})

    def test_the_hash_tells_apart_what_needs_a_restart(self):
        assert self.SPEC.hash == replace(self.SPEC, start_timeout_seconds=9).hash
        for other in (
            replace(self.SPEC, environment={"KEY": "other"}),
            replace(self.SPEC, command=("program", "x")),
            replace(self.SPEC, port=2),
            replace(self.SPEC, restart_key="2"),
        ):
            assert other.hash != self.SPEC.hash

    def test_the_environment_is_in_no_text_of_it(self):
        assert "value" not in repr(self.SPEC)

    @pytest.mark.parametrize(
        ("host", "url"),
        [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
    )
    def test_its_address_is_one_this_machine_reaches(self, host, url):
        assert replace(self.SPEC, host=host).url == url

    def test_pulumis_own_variables_stay_with_pulumi(self):
        inherited = inherited_environment(
            {
                "PATH": "/bin",
                "HOME": "/home",
                "CUDA_VISIBLE_DEVICES": "0",
                "PULUMI_CONFIG_PASSPHRASE": "x",
                "TOKEN": "y",
            }
        )

        assert inherited == {"PATH": "/bin", "HOME": "/home", "CUDA_VISIBLE_DEVICES": "0"}
