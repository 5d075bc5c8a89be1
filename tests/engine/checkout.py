"""A copy of the project's own files that a test can bring up, break and take down with the real command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.local.processes import ProcessRecord, list_records
from tests.ports import free_port
from tests.programs import REPOSITORY

COMMAND_TIMEOUT_SECONDS = 240


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@dataclass
class Checkout:
    """A copy of the project's own files, where a fleet can come up beside any other on this machine."""

    directory: Path
    environment: dict[str, str]
    router_port: int

    def write(self, **changes: Any) -> None:
        config: dict[str, Any] = {
            "target": "local",
            "models": {"assistant": {"model": "gemma3:270m", "contextLength": 512}},
            "aliases": {"default": "assistant"},
            "router": {"port": self.router_port},
            **changes,
        }
        document = {"config": {f"paddock:{key}": value for key, value in config.items()}}
        (self.directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump(document))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def paddock(self, *arguments: str, exit_code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        stdout, stderr = process.communicate(stdin, timeout=COMMAND_TIMEOUT_SECONDS)
        assert process.returncode == exit_code, f"{arguments} gave {process.returncode}:\n{stdout}\n{stderr}"
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def exit_code_of(self, *arguments: str) -> int:
        process = self.start(*arguments)
        process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
        return process.returncode

    def json(self, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.paddock(*arguments, "--json", exit_code=exit_code).stdout)
        return document

    def up(self) -> dict[str, Any]:
        return self.json("up", "--yes")

    def records(self) -> dict[str, ProcessRecord]:
        found = list_records(self.directory / ".paddock" / "dev" / "processes")
        return {record.name: record for record in found if isinstance(record, ProcessRecord)}

    def pids(self) -> dict[str, int]:
        return {name: record.child.pid for name, record in self.records().items() if record.child is not None}


def make_checkout(home: Path, engine_binary: Path) -> Checkout:
    """The project's own files in a directory below ``home``, with one small model in its config."""
    directory = home / "checkout"
    directory.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / name, directory)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment = kept | {
        "PATH": os.pathsep.join([str(engine_binary.parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(REPOSITORY),
        "PULUMI_HOME": str(home / "pulumi-home"),
    }
    checkout = Checkout(directory, environment, free_port())
    checkout.write()
    return checkout
