"""Two commands at work on one stack: the second one says so."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi.automation.errors import ConcurrentUpdateError

from cli.engine.home import Backend
from cli.engine.operations import StackOperator
from cli.engine.state import LockedError
from cli.project import Project

pytestmark = pytest.mark.unit


class BusyStack:
    """A stack that another process has locked since this one looked."""

    name = "dev"

    def export_stack(self) -> SimpleNamespace:
        return SimpleNamespace(deployment=None)

    def destroy(self, **_: object) -> None:
        raise ConcurrentUpdateError(cast("Any", SimpleNamespace(stdout="", stderr="locked by 1 lock(s)", code=255)))


def operator(backend: Backend, tmp_path: Path) -> StackOperator:
    return StackOperator(
        cast("Any", BusyStack()), cast("Any", None), cast("Any", None), Project(tmp_path), backend, None
    )


def test_the_holder_of_the_lock_is_named(tmp_path: Path) -> None:
    backend = Backend(tmp_path.as_uri(), tmp_path)
    locks = backend.lock_directory("dev")
    assert locks is not None
    locks.mkdir(parents=True)
    lock = {"pid": os.getpid(), "hostname": socket.gethostname(), "timestamp": datetime.now(UTC).isoformat()}
    (locks / "one.json").write_text(json.dumps(lock))
    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        operator(backend, tmp_path).destroy()


def test_a_backend_that_does_not_tell_the_holder_is_told_to_be_busy(tmp_path: Path) -> None:
    with pytest.raises(LockedError, match=r"another command is at work on stack 'dev'. fix: wait"):
        operator(Backend("s3://somewhere", None), tmp_path).destroy()
