"""Where a model's weights are: a claim of each replica, a volume of each pod, one claim for all, or an image."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.meta import SKIP_AWAIT, Manifest, manifest, model_labels
from components.kubernetes.model import KubernetesModel, KubernetesPlan

WEIGHTS = "weights"
"""The volume's name in every pod that mounts it."""


def claim_spec(model: KubernetesModel, access_mode: str) -> dict[str, Any]:
    """What is asked of the cluster's storage."""
    spec: dict[str, Any] = {
        "accessModes": [access_mode],
        "resources": {"requests": {"storage": model.storage.size}},
        "volumeMode": "Filesystem",
    }
    if model.storage.storage_class is not None:
        spec["storageClassName"] = model.storage.storage_class
    return spec


def claim_template(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, Any]:
    """The claim that a StatefulSet makes for each replica. It cannot change while the StatefulSet lives."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": WEIGHTS, "labels": model_labels(plan, model)},
        "spec": claim_spec(model, "ReadWriteOnce"),
    }


def pod_volume(plan: KubernetesPlan, model: KubernetesModel) -> list[dict[str, Any]]:
    """The volume of the weights in a pod; none with ``perReplica``, where the claim template is the volume."""
    mode = model.storage.mode
    if mode == "ephemeral":
        template = {
            "metadata": {"labels": model_labels(plan, model)},
            "spec": claim_spec(model, "ReadWriteOnce"),
        }
        return [{"name": WEIGHTS, "ephemeral": {"volumeClaimTemplate": template}}]
    if mode == "shared":
        return [{"name": WEIGHTS, "persistentVolumeClaim": {"claimName": shared_claim_name(model)}}]
    if mode == "image":
        return [{"name": WEIGHTS, "image": {"reference": model.storage.image, "pullPolicy": "IfNotPresent"}}]
    return []


def shared_claim_name(model: KubernetesModel) -> str:
    """The name of the claim that all replicas of a model share."""
    return f"{model.workload}-{WEIGHTS}"


def shared_claim(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """One ReadWriteMany claim for all replicas."""
    return manifest(
        "v1",
        "PersistentVolumeClaim",
        shared_claim_name(model),
        {"spec": claim_spec(model, "ReadWriteMany")},
        labels=model_labels(plan, model),
        namespace=plan.namespace,
        # A class that binds at first use leaves the claim pending until the Job's pod is there.
        annotations=SKIP_AWAIT,
    )
