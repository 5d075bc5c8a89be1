"""The home that the engine gets: state, passphrase, and a config of its own beside the tracked one."""

from __future__ import annotations

import json
import os
import secrets
import socket
from pathlib import Path

import pytest
import yaml

from cli.engine.home import Backend, choose_backend, engine_environment, prepare_workspace
from cli.engine.state import LockedError, clear_stale_locks, read_state
from cli.project import Project, find_project
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit
CONFIG = "config:\n  paddock:models:\n    assistant: gemma3:270m\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: paddock\nruntime: python\n")
    (tmp_path / "__main__.py").write_text("")
    (tmp_path / "Pulumi.dev.yaml").write_text(CONFIG)
    return Project(tmp_path)


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    """The environment of someone who is logged in nowhere."""
    return {"PULUMI_HOME": str(tmp_path / "pulumi-home")}


def log_in(environment: dict[str, str], where: str) -> None:
    home = Path(environment["PULUMI_HOME"])
    home.mkdir()
    (home / "credentials.json").write_text(json.dumps({"current": where}))


def put_state(project: Project, text: str) -> Path:
    path = choose_backend(project, "dev", {"PULUMI_HOME": "/nowhere"}).state_file("dev")
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_state_is_in_the_checkout_for_who_is_logged_in_nowhere(project: Project, nobody: dict[str, str]) -> None:
    backend = choose_backend(project, "dev", nobody)
    assert backend.directory == project.directory / ".paddock" / "state"
    assert backend.url == (project.directory / ".paddock" / "state").as_uri() + "?metadata=skip"


def test_state_is_where_the_user_is_logged_in(project: Project, nobody: dict[str, str]) -> None:
    log_in(nobody, "https://api.example.com")
    assert choose_backend(project, "dev", nobody) == Backend(None, None)


def test_a_stack_that_is_in_the_checkout_stays_there_after_a_login(project: Project, nobody: dict[str, str]) -> None:
    put_state(project, "{}")
    log_in(nobody, "https://api.example.com")
    assert choose_backend(project, "dev", nobody).directory is not None


def test_the_environment_has_the_last_word(project: Project, nobody: dict[str, str]) -> None:
    assert choose_backend(project, "dev", {**nobody, "PULUMI_BACKEND_URL": "s3://b"}) == Backend("s3://b", None)


def test_a_backend_of_local_files_is_read_wherever_it_is(project: Project, nobody: dict[str, str]) -> None:
    named = choose_backend(project, "dev", {**nobody, "PULUMI_BACKEND_URL": "file:///srv/state"})
    assert named == Backend("file:///srv/state", Path("/srv/state"))
    log_in(nobody, "file://~")
    assert choose_backend(project, "dev", nobody) == Backend(None, Path.home())


def test_a_passphrase_is_made_once_and_is_the_owners_alone(project: Project, nobody: dict[str, str]) -> None:
    backend = choose_backend(project, "dev", nobody)
    first = Path(engine_environment(project, backend, nobody)["PULUMI_CONFIG_PASSPHRASE_FILE"])
    text = first.read_text()
    assert len(text) >= 32
    assert first.stat().st_mode & 0o777 == 0o600
    assert engine_environment(project, backend, nobody)["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(first)
    assert first.read_text() == text


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_passphrase_that_is_set_is_left_alone(project: Project, nobody: dict[str, str], name: str) -> None:
    environment = {**nobody, name: secrets.token_hex(4)}
    added = engine_environment(project, choose_backend(project, "dev", nobody), environment)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in added
    assert not (project.private_directory / "passphrase").exists()


def test_the_engines_copy_keeps_its_salt_and_the_tracked_file_gets_none(project: Project) -> None:
    workspace = prepare_workspace(project, "dev")
    copy = workspace / "Pulumi.dev.yaml"
    copy.write_text(copy.read_text() + "encryptionsalt: v1:abc:def\n")
    (project.directory / "Pulumi.dev.yaml").write_text(CONFIG.replace("270m", "1b"))
    prepare_workspace(project, "dev")
    document = yaml.safe_load(copy.read_text())
    assert document["encryptionsalt"] == "v1:abc:def"
    assert document["config"]["paddock:models"]["assistant"] == "gemma3:1b"
    assert "salt" not in (project.directory / "Pulumi.dev.yaml").read_text()


def test_a_salt_of_the_tracked_file_wins(project: Project) -> None:
    workspace = prepare_workspace(project, "dev")
    copy = workspace / "Pulumi.dev.yaml"
    copy.write_text(copy.read_text() + "encryptionsalt: v1:old:salt\n")
    (project.directory / "Pulumi.dev.yaml").write_text(CONFIG + "encryptionsalt: v1:new:salt\n")
    prepare_workspace(project, "dev")
    assert yaml.safe_load(copy.read_text())["encryptionsalt"] == "v1:new:salt"


def test_the_workspace_finds_the_plugin_by_an_absolute_path(project: Project) -> None:
    settings = yaml.safe_load((prepare_workspace(project, "dev") / "Pulumi.yaml").read_text())
    (plugin,) = settings["plugins"]["providers"]
    assert (Path(plugin["path"]) / "pulumi-resource-paddock").exists()


def test_a_project_of_another_name_is_refused(project: Project) -> None:
    (project.directory / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    with pytest.raises(BadInputError, match="name: paddock"):
        prepare_workspace(project, "dev")


def test_a_project_is_found_from_below(project: Project) -> None:
    below = project.directory / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == Project(project.directory.resolve())


def test_outputs_are_read_from_the_state(project: Project, nobody: dict[str, str]) -> None:
    resources = [{"type": "pulumi:pulumi:Stack", "outputs": {"fleet": {"version": 1}}}, {"type": "x:y:Z"}]
    put_state(project, json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}))
    state = read_state(choose_backend(project, "dev", nobody), "dev")
    assert state is not None
    assert state.outputs == {"fleet": {"version": 1}}
    assert state.resources == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"checkpoint": 3}', '{"checkpoint": {"latest": {"resources": [3]}}}'])
def test_a_corrupt_state_is_named_with_the_way_back(project: Project, nobody: dict[str, str], text: str) -> None:
    path = put_state(project, text)
    with pytest.raises(BadInputError, match="fix") as caught:
        read_state(choose_backend(project, "dev", nobody), "dev")
    assert str(path) in str(caught.value)
    path.with_name("dev.json.bak").write_text("{}")
    with pytest.raises(BadInputError, match=r"dev\.json\.bak"):
        read_state(choose_backend(project, "dev", nobody), "dev")


def put_lock(backend: Backend, **lock: object) -> Path:
    directory = backend.lock_directory("dev")
    assert directory is not None
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{secrets.token_hex(4)}.json"
    path.write_text(
        json.dumps({"pid": 0, "hostname": socket.gethostname(), "timestamp": "2020-01-01T00:00:00Z", **lock})
    )
    return path


def test_the_lock_of_a_dead_process_is_removed_and_said(project: Project, nobody: dict[str, str]) -> None:
    backend = choose_backend(project, "dev", nobody)
    # This process began after the lock was written, so the id is another's now.
    path = put_lock(backend, pid=os.getpid())
    (told,) = clear_stale_locks(backend, "dev")
    assert str(os.getpid()) in told
    assert not path.exists()


def test_the_lock_of_a_living_process_is_kept(project: Project, nobody: dict[str, str]) -> None:
    backend = choose_backend(project, "dev", nobody)
    path = put_lock(backend, pid=os.getpid(), timestamp="2999-01-01T00:00:00Z")
    with pytest.raises(LockedError, match=str(os.getpid())):
        clear_stale_locks(backend, "dev")
    assert path.exists()


def test_the_lock_of_another_machine_is_kept(project: Project, nobody: dict[str, str]) -> None:
    backend = choose_backend(project, "dev", nobody)
    put_lock(backend, hostname="elsewhere")
    with pytest.raises(LockedError, match="elsewhere"):
        clear_stale_locks(backend, "dev")
