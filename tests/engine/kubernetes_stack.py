"""A fleet on a cluster that is a directory, driven by the plain ``pulumi`` and the real program."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.engine.conftest import Pulumi
from tests.programs import REPOSITORY
from tests.standins.kubernetes_directory import DIRECTORY_VARIABLE, DirectoryCluster

IMAGE = "registry.example.com/paddock:1.0.0"


def small_fleet(**changes: Any) -> dict[str, Any]:
    """Two models without GPUs, a router, and nothing else; ``changes`` in place of sections."""
    return {
        "target": "kubernetes",
        "namespace": "llm",
        "models": {"one": {"model": "llama3.1:8b"}, "two": {"model": "mistral:7b"}},
        "aliases": {"default": "one"},
        "router": {"image": IMAGE},
        "monitoring": {"enabled": False},
        "valkey": {"mode": "none"},
        **changes,
    }


@dataclass
class ClusterStack:
    """A stack of a copy of the project's own files."""

    pulumi: Pulumi
    cluster: DirectoryCluster
    name: str
    kubeconfig: Path | None = None
    """The cluster's, where it is a real one."""
    _options: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._options = ("--stack", self.name)
        self.pulumi.environment[DIRECTORY_VARIABLE] = str(self.cluster.root)

    @property
    def file(self) -> Path:
        return self.pulumi.directory / f"Pulumi.{self.name}.yaml"

    def write(self, config: Mapping[str, Any]) -> None:
        """Write the stack's config. What the engine keeps in the file beside it stays."""
        kept: dict[str, Any] = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        kept["config"] = {f"paddock:{key}": value for key, value in config.items()}
        if self.kubeconfig is not None:
            kept["config"]["kubernetes:kubeconfig"] = str(self.kubeconfig)
        self.file.write_text(yaml.safe_dump(kept))

    def init(self) -> None:
        self.pulumi.run("stack", "init", self.name)

    def up(self, *arguments: str, exit_code: int = 0) -> dict[str, int]:
        """Bring it up and return what changed: ``{"created": 12}``, components counted. The log begins anew."""
        self.cluster.begin_log()
        said = self.pulumi.run("up", "--yes", "--skip-preview", *self._options, *arguments, exit_code=exit_code)
        return changes(said)

    def failing_up(self) -> str:
        """Try to bring it up, in vain, and return what was said."""
        self.cluster.begin_log()
        return self.pulumi.run("up", "--yes", "--skip-preview", *self._options, exit_code=1)

    def destroy(self) -> dict[str, int]:
        self.cluster.begin_log()
        return changes(self.pulumi.run("destroy", "--yes", "--skip-preview", *self._options))

    def preview(self, *arguments: str) -> str:
        return self.pulumi.run("preview", *self._options, *arguments)

    def contract(self) -> dict[str, Any]:
        """The stack's output."""
        return self.pulumi.outputs(*self._options)["fleet"]

    def mounted_contract(self) -> dict[str, Any]:
        """The contract as the router's replicas have it."""
        return json.loads(self.cluster.objects()["ConfigMap/fleet-contract"]["data"]["contract.json"])

    def state(self) -> str:
        """The whole state, secrets encrypted, as anybody may read it."""
        return self.pulumi.run("stack", "export", *self._options)

    def resources(self) -> list[dict[str, Any]]:
        """The resources in the state."""
        said = self.state()
        return json.loads(said[said.index("{") :])["deployment"]["resources"]


def make_stack(
    pulumi: Pulumi, home: Path, name: str, config: Mapping[str, Any], kubeconfig: Path | None = None
) -> ClusterStack:
    """Copy the project's files into the folder that ``pulumi`` works in, and make a stack with this config."""
    for file in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / file, pulumi.directory)
    venv = pulumi.directory / ".venv"
    if not venv.exists():
        venv.symlink_to(REPOSITORY / ".venv")
    pulumi.environment["PYTHONPATH"] = str(REPOSITORY)
    stack = ClusterStack(pulumi, DirectoryCluster(home / f"cluster-{name}"), name, kubeconfig)
    stack.write(config)
    stack.init()
    return stack


_COUNT = re.compile(r"^\s*[-+~=]*\s*(\d+) (created|updated|replaced|deleted)$", re.MULTILINE)


def changes(said: str) -> dict[str, int]:
    """What the engine's summary counts, what stayed as it was left out."""
    return {word: int(count) for count, word in _COUNT.findall(said)}
