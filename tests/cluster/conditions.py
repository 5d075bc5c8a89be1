"""Reading the state of objects."""

from __future__ import annotations

from tests.cluster.client import Manifest


def is_ready(pod: Manifest) -> bool:
    """Whether a pod is Ready, and not on its way out."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def why_pending(pod: Manifest) -> str | None:
    """Why the scheduler found no node for a pod; None where it did, or has not tried."""
    for one in pod.get("status", {}).get("conditions", []):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return one.get("message", "")
    return None


def is_available(deployment: Manifest, replicas: int) -> bool:
    """Whether a Deployment has exactly this many replicas, all of its newest kind and all available."""
    status = deployment["status"]
    is_current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counted = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return is_current and {deployment["spec"]["replicas"], *counted} == {replicas}


def count_ready(pods: list[Manifest]) -> int:
    """How many of the pods are Ready."""
    return sum(map(is_ready, pods))
