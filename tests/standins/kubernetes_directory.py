"""A cluster that is a directory: objects as JSON files, and a log of what was done to them in its order.

No scheduler, no controllers and no validation: what is applied is there and is ready at once, but where
:meth:`DirectoryCluster.fault` says otherwise. It is the other half of the stand-in for the Kubernetes plugin, and what
tests look at and break.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Manifest = dict[str, Any]
Fault = Literal["refused", "not ready", "held"]
"""``refused``: the object is not made or changed; ``not ready``: it is, and waiting for it ends in vain; ``held``: it
is, and the call does not return while the fault is there."""
DIRECTORY_VARIABLE = "PADDOCK_STANDIN_CLUSTER"
"""The environment variable that tells the plugin where the cluster is."""
HELD_POLL_SECONDS = 0.05
CLUSTER_WIDE = "-"
"""What stands for the namespace of an object that is in none."""


class ClusterError(Exception):
    """The cluster refused."""


class AlreadyExistsError(ClusterError):
    """An object of that name is there already."""


class NotReadyError(ClusterError):
    """The object is there, and did not become ready in time."""


@dataclass(frozen=True)
class Entry:
    """A line of the log."""

    action: Literal["create", "update", "delete"]
    state: Literal["begun", "done"]
    """A call that waits for readiness is done when the object is ready."""
    object: str
    """``Kind/name``."""
    namespace: str
    timeout_seconds: float
    """How long the engine allowed for it; 0 where it left that to the plugin."""


def identity(manifest: Mapping[str, Any]) -> str:
    """``Kind/name``: what faults and the log call an object."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


class DirectoryCluster:
    """The cluster in one directory. Several processes may use it at once: the plugin's and the test's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"
        self._log = root / "log.jsonl"
        self._faults = root / "faults.json"
        self._lock = threading.Lock()
        self._objects.mkdir(parents=True, exist_ok=True)

    # --- what the plugin does -------------------------------------------------------------------------------------

    def create(self, manifest: Manifest, *, upsert: bool, timeout_seconds: float) -> Manifest:
        """Make an object and wait for it. Raises AlreadyExistsError unless ``upsert``, ClusterError, NotReadyError."""
        path = self._path(manifest)
        self._write("create", "begun", manifest, timeout_seconds)
        self._refuse(manifest)
        if path.exists() and not upsert:
            raise AlreadyExistsError(f"{identity(manifest)} already exists")
        self._keep(path, manifest)
        self._wait(manifest)
        self._write("create", "done", manifest, timeout_seconds)
        return manifest

    def update(self, manifest: Manifest, *, timeout_seconds: float, ignored: Sequence[str] = ()) -> Manifest:
        """Change an object and wait for it; nobody else owns fields here. Raises ClusterError, NotReadyError."""
        del ignored
        self._write("update", "begun", manifest, timeout_seconds)
        self._refuse(manifest)
        self._keep(self._path(manifest), manifest)
        self._wait(manifest)
        self._write("update", "done", manifest, timeout_seconds)
        return manifest

    def read(self, manifest: Mapping[str, Any]) -> Manifest | None:
        """An object as it is now; None where it is gone. ``manifest`` tells kind and name."""
        try:
            found: Manifest = json.loads(self._path(manifest).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def delete(self, manifest: Manifest, *, timeout_seconds: float) -> None:
        """Remove an object, and with a namespace all that is in it. One that is gone is no error."""
        self._write("delete", "begun", manifest, timeout_seconds)
        self._refuse(manifest)
        self._path(manifest).unlink(missing_ok=True)
        if manifest["kind"] == "Namespace":
            shutil.rmtree(self._objects / manifest["metadata"]["name"], ignore_errors=True)
        self._write("delete", "done", manifest, timeout_seconds)

    # --- what a test does -----------------------------------------------------------------------------------------

    def objects(self) -> dict[str, Manifest]:
        """Everything that is there, by ``Kind/name``."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in self._objects.rglob("*.json")]
        return {identity(one): one for one in found}

    def log(self) -> list[Entry]:
        """What was done since the log began, in its order."""
        try:
            lines = self._log.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Entry(**json.loads(line)) for line in lines]

    def begin_log(self) -> None:
        """Forget what was done so far."""
        self._log.unlink(missing_ok=True)

    def done(self, action: str) -> list[str]:
        """The objects with which that was done, in its order."""
        return [entry.object for entry in self.log() if (entry.action, entry.state) == (action, "done")]

    def fault(self, faults: Mapping[str, Fault]) -> None:
        """Make objects fail from now on, by pattern: ``{"StatefulSet/llama-*": "not ready"}``. Empty: all is well."""
        unfinished = self._faults.with_suffix(".part")
        unfinished.write_text(json.dumps(faults), encoding="utf-8")
        unfinished.replace(self._faults)

    def remove(self, name: str) -> None:
        """Take an object away by ``Kind/name``, as somebody with kubectl does."""
        self._path(self.objects()[name]).unlink()

    def change(self, manifest: Manifest) -> None:
        """Put an object in the place of the one of its name, as somebody with kubectl does."""
        self._keep(self._path(manifest), manifest)

    # --- underneath -----------------------------------------------------------------------------------------------

    def _path(self, manifest: Mapping[str, Any]) -> Path:
        metadata = manifest["metadata"]
        group = str(manifest["apiVersion"]).rpartition("/")[0] or "core"
        return (
            self._objects
            / (metadata.get("namespace") or CLUSTER_WIDE)
            / f"{manifest['kind']}.{group}"
            / (f"{metadata['name']}.json")
        )

    def _keep(self, path: Path, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace")
        if namespace and not self.read({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}):
            raise ClusterError(f'{identity(manifest)}: namespaces "{namespace}" not found')
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        unfinished.replace(path)

    def _fault(self, manifest: Manifest) -> Fault | None:
        try:
            faults: dict[str, Fault] = json.loads(self._faults.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return next((kind for pattern, kind in faults.items() if fnmatch.fnmatch(identity(manifest), pattern)), None)

    def _refuse(self, manifest: Manifest) -> None:
        if self._fault(manifest) == "refused":
            raise ClusterError(f"{identity(manifest)}: admission webhook denied the request")

    def _wait(self, manifest: Manifest) -> None:
        if self._fault(manifest) == "not ready":
            raise NotReadyError(f"{identity(manifest)}: timed out waiting to be Ready")
        while self._fault(manifest) == "held":
            time.sleep(HELD_POLL_SECONDS)

    def _write(self, action: str, state: str, manifest: Manifest, timeout_seconds: float) -> None:
        namespace = manifest["metadata"].get("namespace", "")
        entry = {"action": action, "state": state, "object": identity(manifest), "namespace": namespace}
        line = json.dumps({**entry, "timeout_seconds": timeout_seconds}) + "\n"
        with self._lock, self._log.open("a", encoding="utf-8") as log:
            log.write(line)
