"""Simulated nodes: what the scheduler sees of GPU machines, kept alive by kwok."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.cluster.client import Client, Manifest
from tests.cluster.conditions import is_ready

MANAGED_BY_KWOK = ("kwok.x-k8s.io/node", "fake")
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class NodeShape:
    """A kind of machine: what it offers and how it is labelled, as its device plugin and its cloud would do it."""

    cpu: str = "32"
    memory: str = "256Gi"
    devices: Mapping[str, int] = field(default_factory=dict[str, int])
    """Extended resources, such as ``{"nvidia.com/gpu": 8}``."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    taints: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys, with "present" for the usual value, of taints with effect NoSchedule."""


CPU = NodeShape()


def nvidia(
    product: str = "NVIDIA-L4", gpus: int = 1, *, memory_mib: int = 23034, labels: Mapping[str, str] | None = None
) -> NodeShape:
    """A machine with whole NVIDIA GPUs, tainted as clouds taint it, labelled as GPU feature discovery does it."""
    found = {
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.memory": str(memory_mib),
    }
    return NodeShape(
        devices={"nvidia.com/gpu": gpus},
        labels={"nvidia.com/gpu.present": "true", **found, **(labels or {})},
        taints={"nvidia.com/gpu": "present"},
    )


def nvidia_mig(
    profile: str = "1g.10gb",
    slices: int = 7,
    *,
    product: str = "NVIDIA-A100-SXM4-80GB",
    labels: Mapping[str, str] | None = None,
) -> NodeShape:
    """A machine with one GPU cut into slices of a MIG profile, with the "mixed" strategy's resource name."""
    return NodeShape(
        devices={f"nvidia.com/mig-{profile}": slices},
        labels={
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": product,
            "nvidia.com/mig.strategy": "mixed",
            **(labels or {}),
        },
        taints={"nvidia.com/gpu": "present"},
    )


def amd(
    product: str = "AMD_Instinct_MI300X_OAM", gpus: int = 8, *, labels: Mapping[str, str] | None = None
) -> NodeShape:
    """A machine with AMD GPUs, labelled as the GPU operator's node labeller does it."""
    return NodeShape(
        devices={"amd.com/gpu": gpus},
        labels={"amd.com/gpu.product-name": product, **(labels or {})},
        taints={"amd.com/gpu": "present"},
    )


def node(name: str, shape: NodeShape, *, zone: str = "zone-a", labels: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of one node."""
    annotation, value = MANAGED_BY_KWOK
    offers = {"cpu": shape.cpu, "memory": shape.memory, "pods": "110", "ephemeral-storage": "1Ti"}
    offers.update({resource: str(count) for resource, count in shape.devices.items()})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {annotation: value},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": zone,
                **shape.labels,
                **(labels or {}),
            },
        },
        "spec": {
            "taints": [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in shape.taints.items()]
        },
        "status": {"capacity": offers, "allocatable": offers},
    }


def add_nodes(client: Client, nodes: Iterable[Manifest], *, seconds: float = READY_SECONDS) -> list[str]:
    """Make nodes, wait until each is Ready and rid of the taints that a new node has, and return their names.

    Raises:
        TimeoutError: They are not after ``seconds``.
    """
    names: list[str] = []
    for manifest in nodes:
        client.request("POST", "/api/v1/nodes", manifest, query={"fieldValidation": "Strict"})
        names.append(manifest["metadata"]["name"])
    wanted = set(names)
    client.until(
        lambda found: wanted <= {one["metadata"]["name"] for one in found if _can_be_used(one)},
        "v1",
        "Node",
        seconds=seconds,
    )
    return names


def remove_nodes(client: Client, names: Iterable[str]) -> None:
    """Remove nodes and, at once, what runs on them, as when machines are lost."""
    gone = set(names)
    for name in gone:
        client.delete("v1", "Node", name)
    for pod in client.objects("v1", "Pod"):
        if pod["spec"].get("nodeName") in gone:
            metadata = pod["metadata"]
            client.delete("v1", "Pod", metadata["name"], metadata["namespace"], grace_seconds=0)


def drain(client: Client, name: str, *, seconds: float = READY_SECONDS) -> int:
    """Take a node out of use and evict its pods, as ``kubectl drain`` does; returns how often a budget said no.

    Raises:
        TimeoutError: A budget still says no after ``seconds``.
    """
    client.merge("v1", "Node", name, {"spec": {"unschedulable": True}})
    deadline = time.monotonic() + seconds
    refusals = 0
    while pods := client.objects("v1", "Pod", fields=f"spec.nodeName={name}"):
        for pod in pods:
            if not client.evict(pod["metadata"]["name"], pod["metadata"]["namespace"]):
                refusals += 1
        if time.monotonic() > deadline:
            raise TimeoutError(f"node {name} is not empty after {seconds:.0f} s: {len(pods)} pods are held by budgets")
        time.sleep(POLL_SECONDS)
    return refusals


def _can_be_used(found: Manifest) -> bool:
    taints = found["spec"].get("taints", [])
    return is_ready(found) and not any(one["key"].startswith("node.kubernetes.io/") for one in taints)
