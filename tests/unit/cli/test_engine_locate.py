"""Finding an engine: PATH first, then the SDK's installer, then a build; else an error with all three ways."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cli.engine import build, locate
from cli.engine.locate import EngineNotFoundError, find_engine, is_fit, parse_version
from cli.project import Project

pytestmark = pytest.mark.unit


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but the shell's own programs, an empty cache, and no way out."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(locate.sys, "executable", str(program(tmp_path / "python", "echo no network >&2; exit 1")))
    module = tmp_path / "project" / "tools" / "pulumi"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module x\n\nrequire (\n\tgithub.com/pulumi/pulumi/pkg/v3 v3.259.0 // indirect\n)\n")
    return tmp_path


def project_on(machine: Path) -> Project:
    return Project(machine / "project")


def test_a_fit_engine_on_path_comes_first(machine: Path) -> None:
    program(machine / "bin" / "pulumi", "echo v3.270.1")
    program(machine / "cache" / "engine" / "pulumi-3.259.0" / "bin" / "pulumi", "echo v3.259.0")
    engine = find_engine(project_on(machine))
    assert (engine.version, engine.origin) == ("3.270.1", "on PATH")


@pytest.mark.parametrize("printed", ["echo v3.1.0", "echo v4.0.0", "echo nonsense", "exit 3"])
def test_an_unfit_engine_on_path_is_passed_over(machine: Path, printed: str) -> None:
    program(machine / "bin" / "pulumi", printed)
    program(machine / "cache" / "engine" / "pulumi-3.259.0" / "bin" / "pulumi", "echo v3.259.0")
    assert find_engine(project_on(machine)).origin == "built from its Go module"


def test_what_the_sdk_installed_is_used_again_before_what_was_built(machine: Path) -> None:
    installed = machine / "cache" / "engine" / f"pulumi-{locate.sdk_version()}" / "bin" / "pulumi"
    program(installed, "echo v3.272.0")
    program(machine / "cache" / "engine" / "pulumi-3.259.0" / "bin" / "pulumi", "echo v3.259.0")
    assert find_engine(project_on(machine)).binary == installed


def test_the_sdks_installer_is_tried_before_a_build(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'mkdir -p "$3/bin"; echo made > "$3/bin/pulumi"; echo "$4" > {machine}/asked'
    monkeypatch.setattr(locate.sys, "executable", str(program(machine / "python", script)))
    engine = find_engine(project_on(machine))
    assert engine.origin == "installed by the SDK"
    assert (machine / "asked").read_text().strip() == locate.sdk_version()
    assert "downloading Pulumi" in capsys.readouterr().err


def test_a_build_is_the_third_way_and_is_kept(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = program(machine / "made", "echo v3.259.0")
    program(machine / "bin" / "go", f'while [ "$1" != -o ]; do shift; done; echo pkg/one >&2; cp {made} "$2"')
    engine = find_engine(project_on(machine))
    assert engine.origin == "built from its Go module"
    assert engine.binary == machine / "cache" / "engine" / "pulumi-3.259.0" / "bin" / "pulumi"
    program(machine / "bin" / "go", "exit 1")
    assert find_engine(project_on(machine)) == engine
    assert "built Pulumi 3.259.0" in capsys.readouterr().err


def test_a_failed_build_leaves_nothing_that_looks_like_an_engine(machine: Path) -> None:
    program(machine / "bin" / "go", "echo out of memory >&2; exit 2")
    with pytest.raises(EngineNotFoundError, match="out of memory"):
        find_engine(project_on(machine))
    assert build.built_engine(project_on(machine)) is None
    assert list((machine / "cache").rglob("pulumi*/bin/*")) == []


def test_where_nothing_works_all_three_ways_are_named(machine: Path) -> None:
    with pytest.raises(EngineNotFoundError) as caught:
        find_engine(project_on(machine))
    text = str(caught.value)
    assert caught.value.exit_code == 1
    assert "pulumi on PATH: there is none" in text
    assert "no network" in text
    assert "no `go` on PATH" in text
    assert all(f"  {number}. " in text for number in (1, 2, 3))


def test_only_looking_gets_nothing(machine: Path) -> None:
    program(machine / "bin" / "go", f"touch {machine}/went")
    with pytest.raises(EngineNotFoundError):
        find_engine(project_on(machine), install=False)
    assert not (machine / "went").exists()


def test_versions() -> None:
    assert parse_version("v3.259.0\n") == (3, 259, 0)
    assert parse_version("3.100.0-dev") == (3, 100, 0)
    assert parse_version("") is None
    assert is_fit((3, 259, 0))
    assert not is_fit((3, 10, 0))
    assert not is_fit((4, 0, 0))
    assert not is_fit(None)
