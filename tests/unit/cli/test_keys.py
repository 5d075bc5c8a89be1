"""keys new, list, rotate, revoke: the key is told once, its hash is kept, and the file stays a person's own."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from cli.stack_edit import read_keys, with_hash, with_key, without_key
from fleet_spec.errors import BadInputError, SpecError
from fleet_spec.keys import hash_of, looks_like_key, new_key
from fleet_spec.stack_file import read_stack_file
from tests.programs import REPOSITORY

pytestmark = pytest.mark.unit

STACK = """\
# A fleet of one.
config:
  paddock:models:
    assistant:
      model: gemma3:270m   # small
  paddock:aliases: {default: assistant}
  paddock:router:
    port: 8090   # nothing else is there

  # The last word.
  paddock:budget:
    monthlyUsd: 10
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: paddock\n")
    (tmp_path / "__main__.py").write_text("")
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> tuple[str, str]:
    """What a command prints: its result, and what it says beside it."""
    result = CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def refused(*arguments: str) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)
    return caught.value


def text_of(project: Path) -> str:
    return (project / "Pulumi.dev.yaml").read_text()


def keys_of(project: Path) -> dict[str, Any]:
    return read_stack_file(project, "dev").raw["router"].get("keys", {})


# new


def test_a_key_is_alone_on_stdout_and_its_config_beside_it(project: Path) -> None:
    told, said = run("new", "ci", "--scope", "chat", "--scope", "metrics", "--model", "default")
    key = told.removesuffix("\n")
    assert looks_like_key(key)
    assert key not in said
    lines = yaml.safe_load("".join(line for line in said.splitlines(keepends=True) if line.startswith("    ")))
    assert lines == {"keys": {"ci": {"hash": hash_of(key), "scopes": ["chat", "metrics"], "models": ["default"]}}}
    assert text_of(project) == STACK


def test_written_keys_leave_the_rest_of_the_file_as_it_was(project: Path) -> None:
    (project / "Pulumi.dev.yaml").chmod(0o640)
    key = run(
        "new",
        "ci",
        *("--monthly-usd", "20", "--requests-per-minute", "60", "--tokens-per-minute", "9000"),
        *("--priority", "low", "--private", "--expires", "2999-01-31", "--write"),
    )[0].strip()
    assert keys_of(project)["ci"] == {
        "hash": hash_of(key),
        "scopes": ["chat"],
        "monthlyUsd": 20,
        "requestsPerMinute": 60,
        "tokensPerMinute": 9000,
        "priority": "low",
        "private": True,
        "expires": "2999-01-31",
    }
    text = text_of(project)
    assert key not in text
    added = [line for line in text.splitlines() if line not in STACK.splitlines()]
    assert [line for line in text.splitlines() if line not in added] == STACK.splitlines()
    assert text.index("ci:") < text.index("# The last word.")
    assert stat.S_IMODE((project / "Pulumi.dev.yaml").stat().st_mode) == 0o640
    assert sorted(path.name for path in project.iterdir()) == ["Pulumi.dev.yaml", "Pulumi.yaml", "__main__.py"]


def test_as_json_a_key_and_its_config_are_one_document(project: Path) -> None:
    document = json.loads(run("new", "ci", "--json")[0])
    assert document["config"]["keys"]["ci"]["hash"] == hash_of(document["key"])
    assert document["written"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("default",), "the key that the stack makes"),
        (("ci-previous",), "another name"),
        (("ci", "--model", "asistant"), "did you mean 'assistant'"),
        (("ci", "--expires", "2020-01-01"), "expired"),
        (("ci", "--expires", "2999-02-30"), "is no day"),
        (("ci", "--expires", "tomorrow"), "router.keys.ci.expires"),
        (("ci", "--scope", "everything"), "none of chat, admin, metrics"),
        (("ci", "--priority", "top"), "none of high, normal, low"),
        (("no name!", "--write"), "no usable name"),
        (("ci", "--stack", "nowhere"), "there is no stack 'nowhere'"),
    ],
)
def test_what_a_key_cannot_have_is_told_before_anything_is_made(
    project: Path, arguments: tuple[str, ...], told: str
) -> None:
    error = refused("new", *arguments)
    assert told in str(error)
    assert error.exit_code == 2
    assert text_of(project) == STACK


def test_a_name_that_is_taken_is_not_given_again(project: Path) -> None:
    run("new", "ci", "--write")
    assert "paddock keys rotate ci" in str(refused("new", "ci", "--write"))


def test_mistakes_that_were_there_before_do_not_stand_in_the_way(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(STACK.replace("gemma3:270m", "gemma3:270n"))
    run("new", "ci", "--write")
    assert "ci" in keys_of(project)


# list


def test_the_list_says_what_each_key_may_do(project: Path) -> None:
    run("new", "ci", "--model", "default", "--monthly-usd", "20", "--write")
    run("new", "grafana", "--scope", "metrics", "--expires", "2999-01-31", "--write")
    told, said = run("list")
    rows = {line.split()[0]: line for line in told.splitlines()}
    assert "in force" in rows["ci"]
    assert "20 USD/month" in rows["ci"]
    assert "2999-01-31" in rows["grafana"]
    assert "'default'" in said
    documents = json.loads(run("list", "--json")[0])["keys"]
    assert [(one["name"], one["scopes"]) for one in documents] == [("ci", ["chat"]), ("grafana", ["metrics"])]
    assert "sha256" not in told + json.dumps(documents)


def test_the_list_tells_keys_that_have_expired(project: Path) -> None:
    spec = {"hash": hash_of(new_key()), "expires": "2020-01-01"}
    (project / "Pulumi.dev.yaml").write_text(with_key(STACK, "ci", spec))
    assert json.loads(run("list", "--json")[0])["keys"][0]["state"] == "expired"


def test_the_list_names_a_key_that_cannot_be_used(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(with_key(STACK, "ci", {"hash": "sha256:short"}))
    error = refused("list")
    assert isinstance(error, SpecError)
    assert "router.keys.ci.hash" in str(error)


# rotate and revoke


def test_after_a_rotation_the_old_key_is_good_for_a_while(project: Path) -> None:
    first = run("new", "ci", "--model", "default", "--write")[0].strip()
    second = run("rotate", "ci", "--write")[0].strip()
    keys = keys_of(project)
    assert keys["ci"] == {"hash": hash_of(second), "scopes": ["chat"], "models": ["default"]}
    assert keys["ci-previous"].pop("expires").endswith("Z")
    assert keys["ci-previous"] == {"hash": hash_of(first), "scopes": ["chat"], "models": ["default"]}
    third = run("rotate", "ci", "--write")[0].strip()
    keys = keys_of(project)
    assert (keys["ci"]["hash"], keys["ci-previous"]["hash"]) == (hash_of(third), hash_of(second))
    states = {one["name"]: one["state"] for one in json.loads(run("list", "--json")[0])["keys"]}
    assert states == {"ci": "in force", "ci-previous": "old key of ci"}


def test_an_old_key_ends_no_later_than_it_would_have(project: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    run("new", "ci", "--expires", soon, "--write")
    run("rotate", "ci", "--overlap-hours", "2", "--write")
    keys = keys_of(project)
    assert keys["ci-previous"]["expires"] < keys["ci"]["expires"] == soon
    run("rotate", "ci", "--overlap-hours", "9", "--write")
    assert keys_of(project)["ci-previous"]["expires"] == soon


def test_without_an_overlap_the_old_key_ends_at_once(project: Path) -> None:
    run("new", "ci", "--write")
    run("rotate", "ci", "--overlap-hours", "0", "--write")
    assert list(keys_of(project)) == ["ci"]


def test_without_write_nothing_is_rotated_or_revoked(project: Path) -> None:
    run("new", "ci", "--write")
    before = text_of(project)
    assert looks_like_key(run("rotate", "ci")[0].strip())
    assert "add --write" in run("revoke", "ci")[1]
    assert text_of(project) == before


def test_a_revoked_key_takes_its_old_one_along(project: Path) -> None:
    run("new", "ci", "--write")
    run("new", "grafana", "--write")
    run("rotate", "ci", "--write")
    assert json.loads(run("revoke", "ci", "--write", "--json")[0])["revoked"] == ["ci", "ci-previous"]
    assert list(keys_of(project)) == ["grafana"]
    run("revoke", "grafana", "--write")
    assert keys_of(project) == {}
    run("new", "again", "--write")
    assert list(keys_of(project)) == ["again"]


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_keys_that_are_not_in_the_file_are_named(project: Path, command: str) -> None:
    run("new", "ci", "--write")
    assert "Keys there: ci" in str(refused(command, "cd"))
    assert "keyGeneration" in str(refused(command, "default"))


def test_what_cannot_be_rotated_is_told_with_the_fix(project: Path) -> None:
    spec = {"hash": hash_of(new_key()), "expires": "2020-01-01"}
    (project / "Pulumi.dev.yaml").write_text(with_key(STACK, "ci", spec))
    assert "write a later day" in str(refused("rotate", "ci"))
    (project / "Pulumi.dev.yaml").write_text(with_key(STACK, "ci-previous", {"hash": hash_of(new_key())}))
    assert "rotate ci" in str(refused("rotate", "ci-previous"))


# The text of a stack's file

SPEC = {"hash": hash_of(new_key()), "scopes": ["chat"]}
LAYOUTS = [
    "",
    "config:\n",
    "config: {}\n",
    "config:\n  paddock:target: local",
    "config:\n  paddock:router:\n  paddock:target: local\n",
    "config:\n    paddock:router:\n        keys:\n    # after\n    paddock:target: local\n",
    "config:\n  paddock:router: {port: 8090}\n  paddock:target: local\n",
    "config:\n  paddock:router: {port: 8090, keys: {}}\n",
    "config:\n  paddock:router:\n    keys: {}  # none yet\n    port: 8090\n",
    "config:\n  paddock:router:\n    keys: {a: {hash: x}, b: {hash: y}}\n",
    "config:\n  paddock:router:\n    keys:\n      a:\n        hash: x\n\n      # the second\n"
    "      b: {hash: y}\n    port: 1\n",
    "config:\n  paddock:router:\n    keys:\n      a:\n        hash: >-\n          x\n"
    "        scopes:\n        - chat\n# end\n",
    "config:\n  paddock:router:\n    note: |\n      several\n      lines\n  paddock:target: local\n",
    STACK,
]


@pytest.mark.parametrize("text", LAYOUTS)
@pytest.mark.parametrize("name", ["ci", "123", "on", "team/a:b"])
def test_a_key_goes_into_and_out_of_any_layout(text: str, name: str) -> None:
    before: dict[str, Any] = yaml.safe_load(text) or {}
    added = with_key(text, name, SPEC)
    assert read_keys(added) == {**read_keys(text), name: SPEC}
    changed = with_hash(added, name, "sha256:other")
    assert read_keys(changed)[name]["hash"] == "sha256:other"
    removed = without_key(changed, name)
    assert read_keys(removed) == read_keys(text)
    after = yaml.safe_load(removed)
    for key, value in (before.get("config") or {}).items():
        if key != "paddock:router":
            assert after["config"][key] == value
    assert all(line.strip() in removed for line in text.splitlines() if "#" in line and "none yet" not in line)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12), st.sampled_from(LAYOUTS))
def test_any_row_of_changes_means_what_it_should(names: list[str], text: str) -> None:
    expected = dict(read_keys(text))
    for name in names:
        if name in expected:
            del expected[name]
            text = without_key(text, name)
        else:
            expected[name] = SPEC
            text = with_key(text, name, SPEC)
        assert read_keys(text) == expected


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_shipped_stacks_get_lines_more_and_lose_none(stack: str) -> None:
    text = (REPOSITORY / f"Pulumi.{stack}.yaml").read_text()
    added = with_key(text, "ci", SPEC)
    left = iter(added.splitlines())
    assert all(line in left for line in text.splitlines())
    assert len(added.splitlines()) - len(text.splitlines()) <= 5


def test_what_cannot_be_edited_is_left_alone(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(STACK.replace("port: 8090", "keys: [a, b]"))
    before = text_of(project)
    error = refused("new", "ci", "--write")
    assert error.exit_code == 2
    assert text_of(project) == before


def test_a_text_that_would_mean_something_else_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.commands.keys.with_key", lambda text, _name, _spec: f"{text}# ci\n")
    assert "leave --write away" in str(refused("new", "ci", "--write"))
    assert text_of(project) == STACK
