"""What is kept of an operation that the engine does not finish, and when the state is written only once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import OpType, StepEventMetadata
from pulumi.automation.events import StepEventStateMetadata

from cli.engine.home import Backend
from cli.engine.state import StackState, clear_broken_metadata, read_state
from cli.engine.unfinished import (
    FILE,
    LARGE_FLEET_MODELS,
    LARGE_FLEET_RESOURCES,
    UnfinishedWork,
    large_fleet_environment,
    recovery_environment,
)
from fleet_spec.stack_file import StackFile

pytestmark = pytest.mark.unit

LOCAL = Backend("file:///srv", Path("/srv"))
SERVICE = Backend(None, None)


def step(name: str, op: OpType = OpType.CREATE, inputs: dict[str, Any] | None = None) -> StepEventMetadata:
    urn = f"urn:{name}"
    manifest = {"kind": "Service", "metadata": {"name": name, "namespace": "llm"}} if inputs is None else inputs
    state = StepEventStateMetadata("kubernetes:core/v1:Service", urn, "", "", "", inputs=manifest)
    return StepEventMetadata(op, urn, "kubernetes:core/v1:Service", "", new=state)


def stack(target: str = "kubernetes", models: int = LARGE_FLEET_MODELS) -> StackFile:
    raw = {"target": target, "models": {f"m{number}": "gemma3:1b" for number in range(models)}}
    return StackFile(Path("Pulumi.test.yaml"), raw, frozenset(), encrypted=False)


def test_what_was_begun_is_known_to_the_next_command_and_how_to_remove_it(tmp_path: Path) -> None:
    work = UnfinishedWork(tmp_path / "stack")
    work.note(step("one"))
    work.note(step("two", OpType.CREATE_REPLACEMENT))
    one, two = UnfinishedWork(tmp_path / "stack").begun()
    assert two.removal == "kubectl delete service two --namespace llm --ignore-not-found"
    work.keep([one])
    assert work.begun() == [one]
    work.keep([])
    assert work.begun() == []


@pytest.mark.parametrize("op", [OpType.UPDATE, OpType.DELETE, OpType.SAME])
def test_what_is_there_already_is_not_noted(tmp_path: Path, op: OpType) -> None:
    work = UnfinishedWork(tmp_path)
    work.note(step("one", op))
    work.note(step("component", inputs={}))
    assert work.begun() == []


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    work = UnfinishedWork(tmp_path)
    work.note(step("one"))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"urn": "urn:tw')
    assert [one.name for one in work.begun()] == ["one"]


def test_the_state_of_a_large_fleet_on_a_cluster_is_written_once() -> None:
    once = {"PULUMI_SKIP_CHECKPOINTS": "true"}
    assert large_fleet_environment(stack(), None, LOCAL) == once
    assert large_fleet_environment(stack(models=LARGE_FLEET_MODELS - 1), None, LOCAL) == {}
    # What is to be taken down is as large as it is, whatever its config has become.
    assert large_fleet_environment(stack(models=1), StackState({}, LARGE_FLEET_RESOURCES), LOCAL) == once
    assert large_fleet_environment(stack("local"), None, LOCAL) == {}, "processes cannot be found by their names"
    assert large_fleet_environment(stack(), None, SERVICE) == {}, "which takes changes one by one"


def test_objects_are_taken_over_only_after_an_operation_that_was_cut_off(tmp_path: Path) -> None:
    work = UnfinishedWork(tmp_path)
    work.note(step("one"))
    take_over = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
    assert recovery_environment(stack(), None, work.begun()) == take_over
    assert recovery_environment(stack(), StackState({}, 3, creating=True), []) == take_over
    assert recovery_environment(stack(), StackState({}, 3), []) == {}
    assert recovery_environment(stack("local"), StackState({}, 3, creating=True), []) == {}


def put_state(directory: Path, latest: dict[str, Any]) -> tuple[Backend, Path]:
    backend = Backend(directory.as_uri(), directory)
    path = backend.state_file("test")
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"checkpoint": {"latest": latest}}))
    return backend, path


def test_the_state_tells_whether_the_engine_was_cut_off_while_it_made_something(tmp_path: Path) -> None:
    latest = {
        "resources": [{"urn": "urn:one"}],
        "pending_operations": [{"type": "creating", "resource": {"urn": "urn:two"}}],
    }
    backend, path = put_state(tmp_path, latest)
    state = read_state(backend, "test")
    assert state is not None
    assert (state.creating, state.urns) == (True, {"urn:one"})
    path.write_text(json.dumps({"checkpoint": {"latest": {**latest, "pending_operations": None}}}))
    state = read_state(backend, "test")
    assert state is not None
    assert state.creating is False


@pytest.mark.parametrize(("text", "stays"), [("", False), ('{"user.cac', False), ('{"md5": "x"}', True)])
def test_half_written_metadata_beside_a_state_are_removed(tmp_path: Path, text: str, stays: bool) -> None:
    backend, path = put_state(tmp_path, {})
    metadata = path.with_name(f"{path.name}.attrs")
    metadata.write_text(text)
    clear_broken_metadata(backend, "test")
    assert metadata.exists() is stays
    clear_broken_metadata(SERVICE, "test")
