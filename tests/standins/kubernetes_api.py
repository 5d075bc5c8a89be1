"""The stand-in's other cluster: a real API server, by server-side apply, waiting as the real plugin waits."""

from __future__ import annotations

import copy
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.client import ApiError, Client
from tests.standins.kubernetes_directory import AlreadyExistsError, ClusterError, Manifest, NotReadyError, identity

FIELD_MANAGER = "pulumi-kubernetes"
POLL_SECONDS = 0.2
DEFAULT_TIMEOUT_SECONDS = 600.0
SKIP_AWAIT = "pulumi.com/skipAwait"


class ApiCluster:
    """A cluster behind an API server."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect as the kubeconfig's current user, who has a token."""
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._client = Client(cluster["server"], user["token"], trusted)

    def create(self, manifest: Manifest, *, upsert: bool, timeout_seconds: float) -> Manifest:
        """Make an object and wait for it. Raises AlreadyExistsError unless ``upsert``, ClusterError, NotReadyError."""
        if not upsert and self.read(manifest) is not None:
            raise AlreadyExistsError(f"{identity(manifest)} already exists")
        return self.update(manifest, timeout_seconds=timeout_seconds)

    def update(self, manifest: Manifest, *, timeout_seconds: float, ignored: Sequence[str] = ()) -> Manifest:
        """Change an object and wait for it. Raises ClusterError, NotReadyError.

        Args:
            manifest: The object.
            timeout_seconds: How long it may take to be ready; 0 for the plugin's own limit.
            ignored: Fields such as ``spec.replicas`` that are left to whoever else has taken them over.
        """
        try:
            live = self._client.apply(self._without(manifest, ignored), field_manager=FIELD_MANAGER, force=False)
        except ApiError as refused:
            raise ClusterError(f"{identity(manifest)}: {refused}") from refused
        if manifest["metadata"].get("annotations", {}).get(SKIP_AWAIT) == "true":
            return live
        deadline = time.monotonic() + (timeout_seconds or DEFAULT_TIMEOUT_SECONDS)
        while not self._is_ready(live):
            if time.monotonic() > deadline:
                raise NotReadyError(f"{identity(manifest)}: timed out waiting to be Ready: {live.get('status')}")
            time.sleep(POLL_SECONDS)
            live = self.read(manifest) or live
        return live

    def read(self, manifest: Mapping[str, Any]) -> Manifest | None:
        """An object as it is now; None where it is gone. ``manifest`` tells kind and name."""
        return self._client.find(*_address(manifest))

    def delete(self, manifest: Manifest, *, timeout_seconds: float) -> None:
        """Remove an object and wait until it is gone. Raises NotReadyError."""
        self._client.delete(*_address(manifest))
        deadline = time.monotonic() + (timeout_seconds or DEFAULT_TIMEOUT_SECONDS)
        while self.read(manifest) is not None:
            if time.monotonic() > deadline:
                raise NotReadyError(f"{identity(manifest)}: timed out waiting to be gone")
            time.sleep(POLL_SECONDS)

    def _without(self, manifest: Manifest, ignored: Sequence[str]) -> Manifest:
        """An object without the ignored fields that are somebody else's by now."""
        if not ignored:
            return manifest
        live = self.read(manifest)
        others = [one for one in live["metadata"]["managedFields"] if one["manager"] != FIELD_MANAGER] if live else []
        kept = copy.deepcopy(manifest)
        for field in ignored:
            *parents, last = field.split(".")
            if any(_owns(one["fieldsV1"], [*parents, last]) for one in others):
                place = kept
                for step in parents:
                    place = place[step]
                place.pop(last, None)
        return kept

    def _is_ready(self, live: Manifest) -> bool:
        status: Manifest = live.get("status", {})
        current = status.get("observedGeneration") == live["metadata"].get("generation")
        match live["kind"]:
            case "Deployment":
                wanted = live["spec"]["replicas"]
                counted = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
                return current and counted == [wanted] * 3
            case "StatefulSet":
                wanted = live["spec"]["replicas"]
                rolled = status.get("updateRevision") == status.get("currentRevision")
                return current and rolled and status.get("readyReplicas", 0) == wanted
            case "Job":
                conditions = status.get("conditions", [])
                return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)
            case "PersistentVolumeClaim":
                return status.get("phase") == "Bound"
            case "Service":
                return live["spec"].get("clusterIP") == "None" or self._has_endpoints(live)
            case _:
                return True

    def _has_endpoints(self, service: Manifest) -> bool:
        labels = f"kubernetes.io/service-name={service['metadata']['name']}"
        namespace = service["metadata"]["namespace"]
        slices = self._client.objects("discovery.k8s.io/v1", "EndpointSlice", namespace, labels=labels)
        return any(one.get("endpoints") for one in slices)


def _owns(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether a manager's fields have this one among them."""
    return not path or (f"f:{path[0]}" in fields and _owns(fields[f"f:{path[0]}"], path[1:]))


def _address(manifest: Mapping[str, Any]) -> tuple[str, str, str, str | None]:
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace")
