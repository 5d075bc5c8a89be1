"""The directory of secrets: what is read, what is refused, what a change brings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_runtime.router.access import secrets_directory
from agent_runtime.router.access.secrets_directory import MOST_SECRET_BYTES, SHORTEST_CLIENT_KEY, SecretsDirectory
from fleet_spec.errors import BadInputError
from fleet_spec.keys import new_key

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def outside_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_directory, "_CONTAINER_SIGNS", ())
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def put(directory: Path, name: str, value: str, mode: int = 0o600) -> Path:
    """Write a secret as the stack does: a new file, renamed over the old one."""
    fresh = directory / f".{name}.new"
    fresh.write_text(value)
    fresh.chmod(mode)
    return fresh.replace(directory / name)


def mount(directory: Path, version: int, values: dict[str, str], mode: int = 0o644) -> None:
    """Change a directory as Kubernetes does: a new version in a directory of its own, and one link renamed."""
    data = directory / f"..2027_01_0{version}"
    data.mkdir()
    for name, value in values.items():
        (data / name).write_text(value)
        (data / name).chmod(mode)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data") / name)
    link = directory / "..data_tmp"
    link.symlink_to(data.name)
    link.replace(directory / "..data")
    for entry in directory.iterdir():
        if entry.is_symlink() and entry.name != "..data" and entry.name not in values:
            entry.unlink()


def test_each_file_is_a_secret_without_the_end_of_its_line(tmp_path: Path) -> None:
    default, tier = new_key(), new_key()
    put(tmp_path, "default", default + "\n")
    put(tmp_path, "tier-commercial", tier + "\r\n")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".hidden").write_text("no key")
    secrets = SecretsDirectory(tmp_path).load()
    assert secrets.client_keys([]) == {"default": default}
    assert secrets.tier_key("tier-commercial") == tier
    assert secrets.tier_key("tier-cloud") is None


@pytest.mark.parametrize(
    ("name", "value", "mode", "told"),
    [
        ("default", "k" * 20, 0o604, "chmod 600"),
        ("default", "k" * 20, 0o644, "mode 0644"),
        ("default", "", 0o600, "is empty"),
        ("default", "\n", 0o600, "is empty"),
        ("default", "two words that are long", 0o600, "a blank"),
        ("default", "two\nlines-that-are-long", 0o600, "control character"),
        ("default", "k" * (SHORTEST_CLIENT_KEY - 1), 0o600, "could be guessed"),
        ("default", "schlüssel-und-schloss", 0o600, "ASCII"),
        ("default", "k" * (MOST_SECRET_BYTES + 1), 0o600, "larger than"),
    ],
)
def test_a_file_that_cannot_be_a_key_is_refused_with_the_fix(
    tmp_path: Path, name: str, value: str, mode: int, told: str
) -> None:
    put(tmp_path, name, value, mode)
    with pytest.raises(BadInputError, match=told) as caught:
        SecretsDirectory(tmp_path).load()
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.exit_code == 2
    if value.strip():
        assert value not in str(caught.value)


def test_every_file_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    put(tmp_path, "a", "")
    put(tmp_path, "b", "k" * 20, 0o666)
    with pytest.raises(BadInputError) as caught:
        SecretsDirectory(tmp_path).load()
    assert f"{tmp_path}/a is empty" in str(caught.value)
    assert f"{tmp_path}/b can be read by everybody" in str(caught.value)


def test_the_group_may_read_as_with_fs_group(tmp_path: Path) -> None:
    put(tmp_path, "default", "k" * 20, 0o440)
    assert SecretsDirectory(tmp_path).load().client_keys([]) == {"default": "k" * 20}


def test_a_mount_of_kubernetes_may_have_any_mode(tmp_path: Path) -> None:
    mount(tmp_path, 1, {"default": "k" * 20})
    assert SecretsDirectory(tmp_path).load().client_keys([]) == {"default": "k" * 20}


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_directory_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "secrets"
    if kind == "file":
        path.write_text("")
    with pytest.raises(BadInputError, match=str(path)):
        SecretsDirectory(path).load()


def test_nothing_is_told_while_nothing_changes(tmp_path: Path) -> None:
    put(tmp_path, "default", new_key())
    directory = SecretsDirectory(tmp_path)
    directory.load()
    assert directory.poll() is None
    assert directory.poll() is None


def test_a_file_that_is_added_changed_or_removed_is_seen(tmp_path: Path) -> None:
    first, second, third = new_key(), new_key(), new_key()
    put(tmp_path, "default", first)
    directory = SecretsDirectory(tmp_path)
    directory.load()
    for change, expected in (
        (lambda: put(tmp_path, "ci", second), {"default": first, "ci": second}),
        (lambda: put(tmp_path, "default", third), {"default": third, "ci": second}),
        ((tmp_path / "ci").unlink, {"default": third}),
    ):
        change()
        found = directory.poll()
        assert found is not None
        assert found.secrets is not None
        assert found.secrets.client_keys([]) == expected
        assert directory.poll() is None


def test_a_swap_by_kubernetes_is_seen_whole(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    mount(tmp_path, 1, {"default": first})
    directory = SecretsDirectory(tmp_path)
    directory.load()
    mount(tmp_path, 2, {"default": second, "ci": first})
    found = directory.poll()
    assert found is not None
    assert found.secrets is not None
    assert found.secrets.client_keys([]) == {"default": second, "ci": first}


def test_a_bad_change_is_told_once_and_a_good_one_after_it_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "default", new_key())
    directory = SecretsDirectory(tmp_path)
    directory.load()
    put(tmp_path, "default", "")
    found = directory.poll()
    assert found is not None
    assert found.secrets is None
    assert "is empty" in str(found.problem)
    assert directory.poll() is None
    put(tmp_path, "default", new_key())
    found = directory.poll()
    assert found is not None
    assert found.problem is None


def test_a_directory_that_goes_is_told_once_and_taken_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.mkdir()
    put(path, "default", new_key())
    directory = SecretsDirectory(path)
    directory.load()
    path.rename(tmp_path / "away")
    found = directory.poll()
    assert found is not None
    assert "cannot read the secrets" in str(found.problem)
    assert directory.poll() is None
    (tmp_path / "away").rename(path)
    found = directory.poll()
    assert found is not None
    assert found.secrets is not None


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_key(), new_key()
    put(tmp_path, "default", new_key())
    directory = SecretsDirectory(tmp_path)
    directory.load()
    put(tmp_path, "default", first)
    read = directory._read

    def read_and_change() -> secrets_directory.Secrets:
        found = read()
        put(tmp_path, "default", second)
        return found

    monkeypatch.setattr(directory, "_read", read_and_change)
    assert directory.poll() is None
    monkeypatch.setattr(directory, "_read", read)
    found = directory.poll()
    assert found is not None
    assert found.secrets is not None
    assert found.secrets.client_keys([]) == {"default": second}


def test_more_files_than_secrets_can_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_directory, "MOST_FILES", 3)
    for number in range(4):
        put(tmp_path, f"k{number}", "k" * 20)
    with pytest.raises(BadInputError, match="more than 3 files"):
        SecretsDirectory(tmp_path).load()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    put(tmp_path, "default", "k" * 20, 0o000)
    with pytest.raises(BadInputError, match="cannot read the secrets"):
        SecretsDirectory(tmp_path).load()
