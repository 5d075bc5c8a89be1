"""What every pod of the fleet has in common: no rights, no privileges, a read-only root, a grace to finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.kubernetes.manifests.meta import SERVICE_ACCOUNT
from components.kubernetes.model import KubernetesModel, Placement

USER_ID = 1000
"""A user without privileges. The images need no entry of it in /etc/passwd."""

HOME = "/home/paddock"

CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}


def pod_security(user_id: int = USER_ID) -> dict[str, Any]:
    """The security context of a pod. The group owns the volumes, so that they can be written to."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user_id,
        "runAsGroup": user_id,
        "fsGroup": user_id,
        # A store of a hundred gigabytes is not walked through at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def base_pod(user_id: int = USER_ID) -> dict[str, Any]:
    """The fields that every pod begins with."""
    return {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        # The environment would otherwise grow with every Service of the namespace.
        "enableServiceLinks": False,
        "securityContext": pod_security(user_id),
    }


def environment(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Environment variables; a mapping as value is taken as ``valueFrom``."""
    return [
        {"name": name, "valueFrom": dict(value)} if isinstance(value, Mapping) else {"name": name, "value": value}  # pyright: ignore[reportUnknownArgumentType]
        for name, value in values.items()
    ]


def secret_value(name: str, key: str) -> dict[str, Any]:
    """An environment variable's value out of a Secret."""
    return {"secretKeyRef": {"name": name, "key": key}}


def scratch_volumes(size: str = "1Gi") -> list[dict[str, Any]]:
    """Where a container with a read-only root may write: its home and /tmp, gone with the pod."""
    return [
        {"name": "home", "emptyDir": {"sizeLimit": size}},
        {"name": "tmp", "emptyDir": {"sizeLimit": size}},
    ]


def scratch_mounts() -> list[dict[str, Any]]:
    """The mounts of :func:`scratch_volumes`."""
    return [{"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108


def spread(over: Sequence[str], selector: Mapping[str, str]) -> list[dict[str, Any]]:
    """Spread replicas where that is possible; a replica in the same place is better than none."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(selector)},
        }
        for key in over
    ]


def placement(where: Placement, selector: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a pod that say on which nodes it may run."""
    fields: dict[str, Any] = {}
    if where.node_selector:
        fields["nodeSelector"] = dict(where.node_selector)
    if where.any_of:
        terms = [
            {"matchExpressions": [{"key": key, "operator": "In", "values": [value]} for key, value in labels.items()]}
            for labels in where.any_of
        ]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        fields["affinity"] = {"nodeAffinity": required}
    if where.tolerations:
        fields["tolerations"] = [dict(one) for one in where.tolerations]
    if where.spread_over:
        fields["topologySpreadConstraints"] = spread(where.spread_over, selector)
    return fields


def classes(model: KubernetesModel) -> dict[str, Any]:
    """The priority class and runtime class of a model's pods, where they have one."""
    fields: dict[str, Any] = {}
    if model.priority_class is not None:
        fields["priorityClassName"] = model.priority_class
    if model.runtime_class is not None:
        fields["runtimeClassName"] = model.runtime_class
    return fields
