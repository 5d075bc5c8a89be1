"""The real Pulumi engine for tests: with a home, a state and a passphrase of its own, and stand-ins on its PATH."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests import programs
from tests.engine.checkout import Checkout, make_checkout
from tests.standins.kubernetes_directory import DIRECTORY_VARIABLE, DirectoryCluster

STANDINS = programs.REPOSITORY / "tests" / "standins"
COMMAND_TIMEOUT_SECONDS = 120.0
CLEAN_END_SECONDS = 10.0


@dataclass(frozen=True)
class Pulumi:
    """The ``pulumi`` command in one project's folder."""

    binary: Path
    directory: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def write(self, **files: str) -> None:
        """Write files of the project: ``write(main="...")`` writes ``__main__.py``, any other name ``NAME.py``."""
        for name, text in files.items():
            path = self.directory / ("__main__.py" if name == "main" else f"{name}.py")
            path.write_text(dedent(text))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and leave it running. It is ended with the test at the latest."""
        process = subprocess.Popen(
            [self.binary, *arguments, "--non-interactive", "--color", "never"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run a command to its end and return what it said, on stdout and stderr together.

        Raises:
            AssertionError: it ended with another exit code.
        """
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
        assert process.returncode == exit_code, f"pulumi {' '.join(arguments)} gave {process.returncode}:\n{said}"
        return said

    def outputs(self, *arguments: str) -> dict[str, Any]:
        """The stack's outputs, with ``[secret]`` in the place of each secret unless ``--show-secrets`` is given."""
        said = self.run("stack", "output", "--json", *arguments)
        return json.loads(said[said.index("{") :])

    def end(self) -> None:
        """End what :meth:`start` started and still runs: first as Ctrl-C does, so that the engine ends its plugins."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(CLEAN_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(scope="session")
def engine_binary() -> Path:
    """The Pulumi engine; without one the test is skipped, or fails where the tools are required."""
    return programs.engine_binary()


@pytest.fixture
def engine_environment(engine_binary: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of an engine that shares nothing with the user's: home, state and passphrase are the test's.

    The stand-ins and the engine come first on PATH. The engine downloads no plugin by itself.
    """
    return make_environment(engine_binary, tmp_path)


def make_environment(engine_binary: Path, home: Path) -> dict[str, str]:
    """The environment of an engine whose home, state and passphrase are below ``home``."""
    state = home / "state"
    state.mkdir()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    return mine | {
        "PATH": os.pathsep.join([str(STANDINS), str(engine_binary.parent), os.environ.get("PATH", os.defpath)]),
        "PADDOCK_PYTHON": sys.executable,
        "PULUMI_HOME": str(home / "pulumi-home"),
        "PULUMI_BACKEND_URL": state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


@pytest.fixture
def pulumi_in(engine_binary: Path, engine_environment: dict[str, str]) -> Iterator[Callable[[Path], Pulumi]]:
    """Gives the ``pulumi`` command in the folder of a project. What it started is ended with the test."""
    given: list[Pulumi] = []

    def give(directory: Path) -> Pulumi:
        given.append(Pulumi(engine_binary, directory, engine_environment))
        return given[-1]

    yield give
    for pulumi in given:
        pulumi.end()


@pytest.fixture
def checkout(tmp_path: Path, engine_binary: Path) -> Iterator[Checkout]:
    """A checkout of the test's own, where no fleet is up. It is taken down with the test."""
    checkout = make_checkout(tmp_path, engine_binary)
    yield checkout
    checkout.paddock("destroy", "--yes")
    assert checkout.records() == {}


@pytest.fixture
def cluster_checkout(tmp_path: Path, engine_binary: Path) -> Checkout:
    """A checkout whose stacks may be on a cluster: one that is a directory, of which nothing runs."""
    checkout = make_checkout(tmp_path, engine_binary)
    checkout.environment["PATH"] = os.pathsep.join([str(STANDINS), checkout.environment["PATH"]])
    checkout.environment[DIRECTORY_VARIABLE] = str(tmp_path / "cluster")
    checkout.environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return checkout


@pytest.fixture
def cluster(cluster_checkout: Checkout) -> DirectoryCluster:
    """The cluster of :func:`cluster_checkout`."""
    return DirectoryCluster(Path(cluster_checkout.environment[DIRECTORY_VARIABLE]))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, engine_binary: Path) -> Iterator[Checkout]:
    """A checkout whose fleet is up, shared by the tests of a module, which leave it as it is."""
    checkout = make_checkout(tmp_path_factory.mktemp("running"), engine_binary)
    checkout.up()
    yield checkout
    checkout.paddock("destroy", "--yes")
