"""The compose file: valid by its specification, the same every time, and without a secret."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cli.commands.render import run as render
from components.docker.compose import COMPOSE_FILE, EXAMPLE_FILE, compose_document, render_compose
from components.docker.scripts import CHECK_FILE, PLACE
from fleet_spec.errors import BadInputError
from tests.programs import REPOSITORY
from tests.unit.components.docker.configurations import API_KEY, CONFIGURATIONS, TOKEN, contract_text, described
from tests.unit.components.docker.meaning import resolved

pytestmark = pytest.mark.unit
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_is_a_compose_file(name: str) -> None:
    document = yaml.safe_load(render_compose(described(name), {}).files[COMPOSE_FILE])
    assert document == compose_document(described(name))
    faults = [
        f"{list(one.path)}: {one.message}" for one in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)
    ]
    assert faults == []


def test_the_schema_refuses_what_is_none() -> None:
    document = compose_document(described("cpu"))
    document["services"]["router"]["capDrop"] = ["ALL"]
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_whatever_a_service_names_is_there(name: str) -> None:
    document = compose_document(described(name))
    for service in document["services"].values():
        assert set(service.get("networks", [])) <= document["networks"].keys()
        assert set(service.get("depends_on", {})) <= document["services"].keys()
        assert set(service.get("secrets", [])) <= document.get("secrets", {}).keys()
        volumes = {one["source"] for one in service.get("volumes", []) if one["type"] == "volume"}
        assert volumes <= document["volumes"].keys()
        for other, how in service.get("depends_on", {}).items():
            waited_for = document["services"][other]
            # Only what has a health check can be waited for by it, and only what ends can have ended.
            assert ("healthcheck" in waited_for) == (how["condition"] == "service_healthy")
            assert (waited_for["restart"] == "no") == (how["condition"] == "service_completed_successfully")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_secret_is_in_it(name: str) -> None:
    rendering = render_compose(described(name), {"contract.json": contract_text(name)})
    for text in rendering.files.values():
        assert API_KEY not in text
        assert TOKEN not in text
    assert "router-key" in rendering.secrets
    assert rendering == render_compose(described(name), {"contract.json": contract_text(name)})


def test_every_variable_of_it_is_explained() -> None:
    files = render_compose(described("web ui"), {}).files
    explained = {line.partition("=")[0] for line in files[EXAMPLE_FILE].splitlines() if "=" in line}
    used = {word.partition(":-")[0] for word in files[COMPOSE_FILE].replace("$$", "").split("${")[1:]}
    assert used == explained


def test_dollar_signs_of_the_fleets_own_are_left_alone_by_compose() -> None:
    document = compose_document(described("own file"))
    source = document["services"]["ours-0"]["volumes"][1]["source"]
    assert source == "/srv/$$ours.gguf"
    script = resolved(document["services"]["ours-load"]["entrypoint"][2])
    assert script == described("own file").containers[3].entrypoint[2]


def run(command: list[str], **changes: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, **changes)


def place(work: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    # Without root nobody gives files away: to oneself it is allowed.
    given = json.dumps({"user": os.getuid(), **work})
    return run([sys.executable, "-c", PLACE, given])


def test_files_are_put_into_place_whole_and_what_is_not_named_any_more_goes(tmp_path: Path) -> None:
    staged, keys = tmp_path / "staged", tmp_path / "keys"
    keys.mkdir()
    staged.write_text("first")
    work = {"own": [str(tmp_path)], "folders": {str(keys): {"default": str(staged), "old": str(staged)}}}
    assert place(work).returncode == 0
    first = (keys / "default").stat()
    assert first.st_mode & 0o777 == 0o400
    assert (keys / "old").exists()

    staged.write_text("second")
    work["folders"] = {str(keys): {"default": str(staged)}}
    assert place(work).returncode == 0
    assert [path.name for path in keys.iterdir()] == ["default"]
    assert (keys / "default").read_text() == "second"
    assert (keys / "default").stat().st_ino != first.st_ino, "a reader never sees half of a file"
    assert place({"own": [], "folders": {str(keys): {"default": str(tmp_path / "none")}}}).returncode != 0
    assert (keys / "default").read_text() == "second"


def test_a_file_of_weights_is_held_against_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF")
    right = {"PADDOCK_WEIGHTS": str(path), "PADDOCK_SHA256": hashlib.sha256(b"GGUF").hexdigest()}
    command = [sys.executable, "-c", CHECK_FILE]
    assert run(command, env=right).returncode == 0
    wrong = run(command, env={**right, "PADDOCK_SHA256": "0" * 64})
    assert wrong.returncode == 1
    assert "is not the file that the config names" in wrong.stderr


def test_render_writes_a_directory_that_compose_takes_and_refuses_a_strange_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    out = tmp_path / "out"
    render("host", out, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in document["files"]} == {path.name for path in out.iterdir()}
    assert {one["name"] for one in document["secrets"]} == {"router-key", "session-key"}
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    # What a person put beside it stays.
    (out / "secrets").mkdir()
    (out / ".env").write_text("PADDOCK_ROUTER_PORT=9090\n")
    render("host", out, target="docker", as_json=False)
    assert {name: (out / name).read_bytes() for name in before} == before
    (out / "deployment.yaml").write_text("")
    with pytest.raises(BadInputError, match=r"deployment\.yaml"):
        render("host", out, as_json=False)


def test_manifests_are_rendered_for_stacks_of_a_cluster_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(BadInputError, match="manifests take settings of a cluster"):
        render("host", tmp_path, target="kubernetes", as_json=False)
    with pytest.raises(BadInputError, match="add --target docker"):
        render("dev", tmp_path, as_json=False)
