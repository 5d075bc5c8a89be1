"""On which nodes pods may run, worked out from the GPU pools and the pod settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from components.kubernetes.model import GpuPool, Placement
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.platform_spec import GpuPoolSpec
from fleet_spec.spec import FleetSpec

POOL_LABEL = "paddock/gpu-pool"
COMPUTE_CLASS_LABEL = "cloud.google.com/compute-class"
ZONE_LABEL = "topology.kubernetes.io/zone"
NODE_LABEL = "kubernetes.io/hostname"
_SPREAD = {"zone": (ZONE_LABEL,), "node": (NODE_LABEL,), "none": ()}


def plan_pool(name: str, pool: GpuPoolSpec, namespace: str) -> GpuPool:
    """Decide how a pool's nodes are found."""
    object_name = f"{namespace}-{safe_name(name)}"[:63].rstrip("-")
    labels = dict(pool.node_labels)
    taints = list(pool.node_taints)
    if pool.provisioner == "karpenter":
        labels[POOL_LABEL] = object_name
    elif pool.provisioner == "gkeComputeClass":
        # GKE itself labels and taints the nodes that it makes for a class.
        labels = {COMPUTE_CLASS_LABEL: object_name}
        taints.append(f"{COMPUTE_CLASS_LABEL}={object_name}:NoSchedule")
    return GpuPool(name, object_name, pool, labels, tuple(toleration(taint) for taint in taints))


def taint_parts(taint: str) -> dict[str, str]:
    """A taint as Kubernetes has it, from ``key=value:Effect``."""
    head, _, effect = taint.rpartition(":")
    key, equals, value = head.partition("=")
    return {"key": key, **({"value": value} if equals else {}), "effect": effect}


def toleration(taint: str) -> dict[str, str]:
    """What lets a pod onto a node with that taint."""
    parts = taint_parts(taint)
    return {"key": parts["key"], "operator": "Equal" if "value" in parts else "Exists", **parts}


def place(model: ModelSpec, spec: FleetSpec, pools: tuple[GpuPool, ...]) -> Placement:
    """Decide where a model's pods may run."""
    offering = [pool for pool in pools if model.gpu is not None and pool.spec.gpu_type == model.gpu.type]
    fleet_pods = spec.kubernetes.pods
    node_selector = {**fleet_pods.node_selector, **model.pods.node_selector}
    any_of: tuple[Mapping[str, str], ...] = ()
    if len(offering) == 1:
        node_selector = {**offering[0].node_labels, **node_selector}
    elif all(pool.node_labels for pool in offering):
        any_of = tuple(pool.node_labels for pool in offering)
    tolerations: list[Mapping[str, str]] = [one for pool in offering for one in pool.tolerations]
    tolerations += [toleration(taint) for taint in (*fleet_pods.tolerations, *model.pods.tolerations)]
    spread = model.pods.topology_spread or fleet_pods.topology_spread
    return Placement(
        tolerations=tuple(_without_repeats(tolerations)),
        node_selector=node_selector,
        any_of=any_of,
        spread_over=(ZONE_LABEL, NODE_LABEL) if spread is None else _SPREAD[spread],
    )


def _without_repeats(items: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [item for index, item in enumerate(items) if item not in items[:index]]
