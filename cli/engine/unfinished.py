"""What an operation has begun to make, kept where it outlives the engine.

The engine writes the whole state of a stack after each resource, which for a large fleet takes most of the time of
an `up`. On a cluster that is not needed: objects have fixed names, and can be found and taken over. So for large
fleets the state is written once, at the end, and this is kept meanwhile: a file with a line for each object that the
engine began to make. Where the end never came, the next `up` takes over what is there, and the file tells what it has
no use for.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from pulumi.automation import OpType, StepEventMetadata

from cli.engine.home import Backend
from cli.engine.state import StackState
from components.local.files import atomic_write
from fleet_spec.stack_file import StackFile

LARGE_FLEET_MODELS = 25
"""From here on the state is written once. Below, writing it each time takes a few seconds in all."""
LARGE_FLEET_RESOURCES = 250
"""The same of a stack that is up, whatever its config has become."""
FILE = "unfinished.jsonl"
_MAKING = (OpType.CREATE, OpType.CREATE_REPLACEMENT)
_WRITE_ONCE = {"PULUMI_SKIP_CHECKPOINTS": "true"}
_TAKE_OVER = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
"""Otherwise the Kubernetes plugin refuses to make what is there already, which may be somebody else's."""


@dataclass(frozen=True)
class Begun:
    """An object that the engine began to make."""

    urn: str
    kind: str
    name: str
    namespace: str | None

    @property
    def removal(self) -> str:
        """What to type to remove it."""
        place = f" --namespace {self.namespace}" if self.namespace else ""
        return f"kubectl delete {self.kind.lower()} {self.name}{place} --ignore-not-found"


def is_on_a_cluster(config: StackFile) -> bool:
    """Whether a stack's objects are in a cluster, which knows them by fixed names."""
    return config.raw.get("target") == "kubernetes"


def large_fleet_environment(config: StackFile, state: StackState | None, backend: Backend) -> dict[str, str]:
    """What to add to the engine's environment for a large fleet; nothing for any other.

    Only where the state is a local file. Pulumi's own service takes changes one by one, and has no need of it.
    """
    models: object = config.raw.get("models")
    large = (isinstance(models, dict) and len(cast("dict[str, Any]", models)) >= LARGE_FLEET_MODELS) or (
        state is not None and state.resources >= LARGE_FLEET_RESOURCES
    )
    return dict(_WRITE_ONCE) if large and is_on_a_cluster(config) and backend.directory is not None else {}


def recovery_environment(config: StackFile, state: StackState | None, lost: Collection[Begun]) -> dict[str, str]:
    """What to add to the engine's environment where the operation before was cut off; nothing where it was not."""
    cut_off = bool(lost) or (state is not None and state.creating)
    return dict(_TAKE_OVER) if cut_off and is_on_a_cluster(config) else {}


class UnfinishedWork:
    """The file of one stack."""

    def __init__(self, stack_directory: Path) -> None:
        """Use the file in a stack's own directory; nothing is read or written yet."""
        self._path = stack_directory / FILE

    def note(self, step: StepEventMetadata) -> None:
        """Take in what the engine is about to do, before it does it."""
        inputs = cast("dict[str, Any]", (step.new.inputs if step.new is not None else None) or {})
        if step.op not in _MAKING or "kind" not in inputs or "metadata" not in inputs:
            return
        metadata = cast("dict[str, Any]", inputs["metadata"])
        begun = Begun(step.urn, inputs["kind"], metadata["name"], metadata.get("namespace"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(begun))

    def begun(self) -> list[Begun]:
        """What was begun, each object once."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return list({one.urn: one for one in map(_read, lines) if one is not None}.values())

    def keep(self, begun: Collection[Begun]) -> None:
        """Forget everything but this."""
        if not begun:
            self._path.unlink(missing_ok=True)
            return
        atomic_write(self._path, "".join(map(_line, begun)).encode())


def _line(begun: Begun) -> str:
    return json.dumps(asdict(begun)) + "\n"


def _read(line: str) -> Begun | None:
    """A line; None for one that was cut off while it was written."""
    try:
        return Begun(**json.loads(line))
    except (ValueError, TypeError):
        return None
