"""Writes down each finished step of a run, so that a run that broke off can go on.

A journal is a file of JSON lines: what the run is about, then a line for each finished step, on the disk before the
next step begins. A last line that was cut off by a crash is dropped; any other that cannot be read is an error, and
the file is left as it is. One process at a time works on a run: it holds the file's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from agent_runtime.agents.teams.errors import JournalCorruptError, ResumeError
from agent_runtime.agents.teams.records import StepRecord

VERSION = 1
_SUFFIX = ".jsonl"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Journal:
    """The steps of one run. Open with :func:`begin` or :func:`resume`."""

    def __init__(self, run_id: str, head: dict[str, Any], steps: list[StepRecord], file: int | None) -> None:
        self.run_id = run_id
        self.head = head
        """What the run is about: ``team``, ``task``, and ``about``, what whoever began it wanted to keep."""
        self.finished = {step.number: step for step in steps}
        self._file = file

    def add(self, record: StepRecord) -> None:
        """Write down a finished step. It is on the disk when this returns."""
        self.finished[record.number] = record
        self._write({"step": record.to_mapping()})

    def add_failure(self, member: str | None, purpose: str, error: str, transcript: object) -> None:
        """Write down a step that failed. A resumed run does it again."""
        self._write({"failure": {"member": member, "purpose": purpose, "error": error, "transcript": transcript}})

    def _write(self, document: dict[str, Any]) -> None:
        if self._file is None:
            return
        os.write(self._file, json.dumps(document).encode() + b"\n")
        os.fsync(self._file)


def new_run_id() -> str:
    """A name for a run: when it began, and a few characters that no other has."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def begin(directory: Path | None, team: str, task: str, about: dict[str, Any] | None = None) -> Generator[Journal]:
    """A journal for a new run.

    Args:
        directory: where journals are kept; None keeps this one in memory.
        team: the team's name.
        task: what it is to do.
        about: what to keep for whoever resumes it, as plain JSON data.
    """
    run_id = new_run_id()
    head: dict[str, Any] = {"version": VERSION, "runId": run_id, "team": team, "task": task, "about": about or {}}
    if directory is None:
        yield Journal(run_id, head, [], None)
        return
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{run_id}{_SUFFIX}"
    # What a team reads and writes is nobody else's on this machine.
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal = Journal(run_id, head, [], file)
        journal._write({"run": head})  # pyright: ignore[reportPrivateUsage] - of this module
        yield journal
    finally:
        os.close(file)


@contextmanager
def resume(directory: Path, run_id: str) -> Generator[Journal]:
    """The journal of a run that began before.

    Raises:
        ResumeError: there is none, or another process works on it.
        JournalCorruptError: it cannot be read.
    """
    path = _path(directory, run_id)
    file = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResumeError(f"run {run_id} is at work in another process. fix: wait for its end") from error
        head, steps, good_bytes = _read(path)
        os.ftruncate(file, good_bytes)
        yield Journal(run_id, head, steps, file)
    finally:
        os.close(file)


def head_of(directory: Path, run_id: str) -> dict[str, Any]:
    """What a run is about: ``team``, ``task`` and ``about``.

    Raises:
        ResumeError: there is no such run.
        JournalCorruptError: its journal cannot be read.
    """
    return _read(_path(directory, run_id))[0]


def _path(directory: Path, run_id: str) -> Path:
    path = directory / f"{run_id}{_SUFFIX}"
    if not _RUN_ID.fullmatch(run_id) or not path.is_file():
        kept = sorted(found.stem for found in directory.glob(f"*{_SUFFIX}"))[-5:] if directory.is_dir() else []
        raise ResumeError(f"there is no run {run_id!r} in {directory}. Latest runs: {', '.join(kept) or 'none'}")
    return path


def _read(path: Path) -> tuple[dict[str, Any], list[StepRecord], int]:
    """What a run is about, its steps, and how many bytes of the file are whole lines."""
    data = path.read_bytes()
    # A line without its end was being written when the process died.
    whole = data[: data.rfind(b"\n") + 1]
    head: dict[str, Any] | None = None
    steps: list[StepRecord] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            document = cast("dict[str, Any]", json.loads(line))
            if "run" in document:
                head = cast("dict[str, Any]", document["run"])
            elif "step" in document:
                steps.append(StepRecord.from_mapping(document["step"]))
        except (ValueError, TypeError, KeyError) as error:
            raise JournalCorruptError(
                f"the journal {path} cannot be read at line {number}: {error}. It was left as it is. fix: begin anew"
            ) from error
    if head is None or head.get("version") != VERSION:
        raise JournalCorruptError(f"the journal {path} is none of this release's. fix: begin anew")
    return head, steps, len(whole)
