"""What a person sees: tables that a terminal has room for, and errors in the form that was asked for."""

from __future__ import annotations

import errno
import json
import os
import sys

import pytest

from cli import main as command
from cli.console import table

pytestmark = pytest.mark.unit

COLUMNS = ["model", "TTFT p50 ms", "tokens/s"]
ROWS = [["assistant", "270", "14.8"], ["other", "1,000", "9.4"]]


class Terminal:
    """A standard output that is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    """The table on a terminal of so many columns."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    table(COLUMNS, ROWS)
    return terminal.text


def test_a_terminal_with_room_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 100).splitlines()
    assert any("assistant" in line and "270" in line and "14.8" in line for line in lines)


def test_no_word_is_broken_where_a_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 22)
    assert "model        assistant\nTTFT p50 ms  270\ntokens/s     14.8\n\n" in text
    assert "model        other\n" in text


@pytest.mark.parametrize("as_json", [True, False])
def test_a_full_disk_is_told_in_the_form_that_was_asked_for(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "here.yaml")

    monkeypatch.setattr(command, "app", full)
    monkeypatch.setattr(sys, "argv", ["paddock", "models", "add", *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    told = capsys.readouterr()
    if as_json:
        assert json.loads(told.out) == {"error": {"message": "here.yaml: No space left on device"}}
    else:
        assert told.err == "error: here.yaml: No space left on device\n"
        assert told.out == ""


def test_a_limit_that_nothing_can_keep_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paddock", "models", "swap", "a", "b", "--max-ttft", "-1", "--json"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "--max-ttft" in json.loads(capsys.readouterr().out)["error"]["message"]
