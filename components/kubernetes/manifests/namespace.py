"""The namespace, with the Pod Security standard that it enforces, and the account that all pods run as."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.meta import SERVICE_ACCOUNT, Manifest, fleet_labels, manifest
from components.kubernetes.model import KubernetesPlan


def namespace(plan: KubernetesPlan) -> Manifest:
    """The fleet's namespace."""
    standard = plan.spec.kubernetes.pod_security
    labels = fleet_labels(plan)
    for mode in ("enforce", "audit", "warn"):
        labels[f"pod-security.kubernetes.io/{mode}"] = standard
        labels[f"pod-security.kubernetes.io/{mode}-version"] = "latest"
    return manifest("v1", "Namespace", plan.namespace, {}, labels=labels)


def service_account(plan: KubernetesPlan) -> Manifest:
    """An account without any right: no pod of the fleet speaks to the Kubernetes API."""
    body: dict[str, Any] = {"automountServiceAccountToken": False}
    if plan.spec.kubernetes.image_pull_secrets:
        body["imagePullSecrets"] = [{"name": name} for name in plan.spec.kubernetes.image_pull_secrets]
    return manifest("v1", "ServiceAccount", SERVICE_ACCOUNT, body, labels=fleet_labels(plan), namespace=plan.namespace)
