"""`paddock render`: the same bytes each time, no secret, and a clear word where there is nothing to render."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import cli.main
from cli.commands.render import run
from components.kubernetes.manifests.meta import identity
from components.kubernetes.rendering import render
from fleet_spec.errors import BadInputError, PaddockError
from tests.unit.kubernetes.configurations import CONFIGURATIONS, manifests_of, planned, prod

pytestmark = pytest.mark.unit


def test_prod_is_written_in_files_that_apply_in_the_order_of_their_names(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    run("prod", out, as_json=False)
    files = sorted(out.iterdir())
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    assert documents == manifests_of(prod())
    assert documents[0]["kind"] == "Namespace"
    assert [file.name.partition("-")[2] for file in files] == [
        "namespace.yaml",
        "monitoring.yaml",
        "valkey.yaml",
        "model-llama.yaml",
        "model-mistral.yaml",
        "model-codellama.yaml",
        "router.yaml",
        "web-ui.yaml",
    ]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_read_back_is_what_was_built_and_twice_is_the_same(name: str) -> None:
    plan = planned(CONFIGURATIONS[name])
    once, again = render(plan), render(planned(CONFIGURATIONS[name]))
    assert once == again
    documents = [one for file in once.files for one in yaml.safe_load_all(file.text)]
    assert documents == manifests_of(plan)
    assert sum(file.objects for file in once.files) == len(documents)


def test_secrets_are_left_out_and_every_one_that_is_named_is_told() -> None:
    for name, raw in CONFIGURATIONS.items():
        rendering = render(planned(raw))
        documents = [one for file in rendering.files for one in yaml.safe_load_all(file.text)]
        assert not [one for one in documents if one["kind"] == "Secret"], name
        named: set[str] = set()
        for one in documents:
            named |= _secret_names(one)
        assert named == {secret.reference.name for secret in rendering.secrets}, name


def _secret_names(value: object) -> set[str]:
    """The Secrets that a manifest refers to, but for those that log in to registries."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "secretKeyRef":
                found.add(item["name"])
            elif key == "secretName":
                found.add(item)
            elif key == "secret":
                found.add(item["name"])
            else:
                found |= _secret_names(item)
    elif isinstance(value, list):
        for item in value:
            found |= _secret_names(item)
    return found


def test_a_secret_of_the_config_is_in_no_file() -> None:
    key = secrets.token_hex(12)
    raw = {
        **CONFIGURATIONS["given valkey and every pod setting"],
        "tiers": {"commercial": {"url": "https://api.example.com/v1", "apiKey": key}},
    }
    assert not any(key in file.text for file in render(planned(raw)).files)


def test_json_tells_what_was_written_and_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("prod", tmp_path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["namespace"] == "llm-serving"
    assert sum(file["objects"] for file in document["files"]) == len({identity(one) for one in manifests_of(prod())})
    assert {one["name"] for one in document["secrets"]} == {"router-keys", "web-ui-secret", "valkey-password"}


def test_again_into_the_same_directory_is_fine_and_anything_else_there_is_refused(tmp_path: Path) -> None:
    run("prod", tmp_path, as_json=True)
    run("prod", tmp_path, as_json=True)
    (tmp_path / "004-model-gone.yaml").write_text("kind: Leftover\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"004-model-gone\.yaml"):
        run("prod", tmp_path, as_json=True)


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(PaddockError, match="--out"):
        run("prod", tmp_path / "out", as_json=True)


def test_a_stack_of_another_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'local'") as caught:
        run("dev", tmp_path / "out", as_json=True)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_the_command_is_there() -> None:
    result = CliRunner().invoke(cli.main.app, ["render", "--help"])
    assert result.exit_code == 0
    assert "--out" in result.output
