"""Plain manifests for tests of the cluster itself, as small as they can be and still be good ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.cluster.client import Manifest

HARDENED_POD: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
HARDENED_CONTAINER: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def pod_spec(*, gpus: int = 0, device: str = "nvidia.com/gpu", **more: Any) -> Manifest:
    """A pod of one container that passes the restricted Pod Security level; ``more`` are fields of the spec."""
    container: Manifest = {"name": "main", "image": "example.com/server:1", "securityContext": HARDENED_CONTAINER}
    if gpus:
        container["resources"] = {"limits": {device: str(gpus)}}
    return {"securityContext": HARDENED_POD, "containers": [container], **more}


def pod(name: str, spec: Manifest, *, labels: Mapping[str, str] | None = None) -> Manifest:
    """A pod by itself."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}


def deployment(
    name: str, spec: Manifest, *, replicas: int | None = 1, annotations: Mapping[str, str] | None = None, **more: Any
) -> Manifest:
    """A Deployment whose pods are labelled ``app: name``; without ``replicas`` where something else owns them."""
    return _workload("Deployment", name, spec, replicas, annotations, more)


def stateful_set(name: str, spec: Manifest, *, replicas: int = 1, **more: Any) -> Manifest:
    """A StatefulSet whose pods are labelled ``app: name``."""
    return _workload("StatefulSet", name, spec, replicas, None, {"serviceName": name, **more})


def _workload(
    kind: str, name: str, spec: Manifest, replicas: int | None, annotations: Mapping[str, str] | None, more: Manifest
) -> Manifest:
    labels = {"app": name}
    pod_metadata: Manifest = {"labels": labels}
    if annotations:
        pod_metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": labels},
            "template": {"metadata": pod_metadata, "spec": spec},
            **more,
        },
    }


def disruption_budget(name: str, *, min_available: int) -> Manifest:
    """A budget for the workload of that name."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": name}}},
    }


def autoscaler(name: str, metric: Manifest, *, least: int, most: int) -> Manifest:
    """An autoscaler of the Deployment of that name, in leaps: up at once, down after two quiet seconds."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [metric],
            "behavior": {
                # Counted in pods: a percentage of no pods is none, and would never wake what sleeps.
                "scaleUp": {"policies": [{"type": "Pods", "value": most, "periodSeconds": 1}]},
                "scaleDown": {
                    "stabilizationWindowSeconds": 2,
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
                },
            },
        },
    }
