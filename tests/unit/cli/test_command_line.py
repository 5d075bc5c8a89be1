"""What the command says when it is used wrongly, or cannot say anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli.main import main

pytestmark = pytest.mark.unit


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Run the command here. Gives its exit code."""
    monkeypatch.setattr(sys, "argv", ["paddock", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ask", "--json", "--frob"], "--frob"),
        (["ask", "--json", "x", "--max-tokens", "0"], "--max-tokens"),
        (["ask", "--json"], "question"),
        (["frob", "--json"], "frob"),
    ],
)
def test_a_wrong_command_line_is_one_json_document_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert told in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_wrong_command_line_is_told_with_its_usage_to_a_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ask", "--frob") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage:" in said.err
    assert "--frob" in said.err


def test_a_disk_that_is_full_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "state"))

    monkeypatch.setattr("cli.commands.outputs.run", full)
    assert run(monkeypatch, "outputs") == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'state'}: No space left on device\n"
