"""A File is what its inputs say, whatever happened to it meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from components.local.provider.file import FileType
from components.local.provider.resource import Session

pytestmark = pytest.mark.unit
FILE = FileType()
SESSION = Session()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    return {"path": str(tmp_path / "deep" / "fleet.json"), "content": "{}\n"}


def created(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    inputs, failures = FILE.check(given, {})
    assert failures == []
    return FILE.create(inputs, SESSION)


def test_its_whole_life(given):
    path = Path(given["path"])
    resource_id, state = created(given)
    assert path.read_text() == "{}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert FILE.diff(state, state, state) == {}
    assert FILE.read(resource_id, state, SESSION) == state

    changed = {**state, "content": "[]\n", "mode": "0644"}
    assert set(FILE.diff(state, state, changed)) == {"content", "mode"}
    assert FILE.update(resource_id, state, changed, SESSION) == changed
    assert path.read_text() == "[]\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["fleet.json"], "nothing temporary stays"

    FILE.delete(resource_id, changed, SESSION)
    FILE.delete(resource_id, changed, SESSION)
    assert not path.exists()
    assert FILE.read(resource_id, changed, SESSION) is None


@pytest.mark.parametrize(
    "meddle",
    [
        lambda path: path.write_text("changed"),
        lambda path: path.chmod(0o644),
        lambda path: path.unlink(),
    ],
    ids=["content", "mode", "absence"],
)
def test_what_somebody_did_to_it_is_a_change(given, meddle):
    resource_id, state = created(given)
    meddle(Path(given["path"]))

    assert set(FILE.diff(state, state, state)) == {"content"}
    refreshed = FILE.read(resource_id, state, SESSION)
    assert refreshed is None or set(FILE.diff(refreshed, state, state)) == {"content"}, "after a refresh as well"

    FILE.update(resource_id, state, state, SESSION)
    assert FILE.diff(state, state, state) == {}


def test_another_path_is_another_file(given, tmp_path):
    _, state = created(given)
    moved = {**state, "path": str(tmp_path / "other")}

    assert {name: change.kind for name, change in FILE.diff(state, state, moved).items()} == {"path": "replace"}


def test_bad_inputs_are_found_at_once(tmp_path):
    _, failures = FILE.check({"path": "relative", "content": 5, "mode": "rw-"}, {})
    assert {failure.property_name for failure in failures} == {"path", "content", "mode"}
    _, failures = FILE.check({"path": str(tmp_path), "content": ""}, {})
    assert {failure.property_name for failure in failures} == {"path", "content"}


def test_a_folder_for_secrets_is_closed_and_goes_with_the_last_of_them(tmp_path):
    directory = tmp_path / "secrets"
    first = created({"path": str(directory / "a"), "content": "x", "directoryMode": "0700"})
    second = created({"path": str(directory / "b"), "content": "y", "directoryMode": "0700"})
    assert directory.stat().st_mode & 0o777 == 0o700
    assert FILE.diff(first[1], first[1], first[1]) == {}

    directory.chmod(0o755)
    assert set(FILE.diff(first[1], first[1], first[1])) == {"directoryMode"}
    FILE.update(first[0], first[1], first[1], SESSION)
    assert directory.stat().st_mode & 0o777 == 0o700

    FILE.delete(*first, SESSION)
    assert directory.is_dir()
    FILE.delete(*second, SESSION)
    assert not directory.exists()
    FILE.delete(*second, SESSION)


def test_a_folders_mode_is_octal_too(given):
    failures = FILE.check({**given, "directoryMode": "rwx"}, {})[1]
    assert [failure.property_name for failure in failures] == ["directoryMode"]
