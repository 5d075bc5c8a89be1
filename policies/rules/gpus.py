"""GPUs: each has one owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.rules.rule import Facts, Finding, Manifest, Rule, containers, items, mapping, pod_spec, where

_VENDORS = ("nvidia.com/", "amd.com/", "gpu.intel.com/")


def _gpu_amounts(amounts: Any) -> dict[str, str]:
    return {name: str(amount) for name, amount in mapping(amounts).items() if name.startswith(_VENDORS)}


def _one_gpu_owner(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        pod = pod_spec(manifest)
        if pod is not None:
            yield from _of_pod(where(manifest), pod)


def _of_pod(place: str, pod: Mapping[str, Any]) -> Iterator[Finding]:
    claimed = bool(items(pod.get("resourceClaims")))
    owners: list[str] = []
    for container in containers(pod):
        name = str(container.get("name", "?"))
        resources = mapping(container.get("resources"))
        requests, limits = _gpu_amounts(resources.get("requests")), _gpu_amounts(resources.get("limits"))
        if not requests and not limits:
            continue
        owners.append(name)
        # Kubernetes takes a lone limit as the request; a lone request it refuses, and so it does different ones.
        if requests and requests != limits:
            yield Finding(place, f"{name} requests {requests} and has limits {limits}", "write the same on both sides")
        if len({*requests, *limits}) > 1:
            yield Finding(place, f"{name} takes GPUs of two kinds: {', '.join({*requests, *limits})}", "ask for one")
        if claimed:
            yield Finding(
                place, f"{name} asks a device plugin for GPUs and claims some too", "keep one of the two ways"
            )
    if len(owners) > 1:
        yield Finding(
            place, f"{' and '.join(owners)} each take a GPU for one replica", "let the server's container alone ask"
        )


RULES = (
    Rule(
        "one-gpu-owner",
        "One container of a pod owns its GPUs, by one way of asking",
        "A GPU that a second container holds is paid for and idle, and nodes run out of them.",
        "mandatory",
        _one_gpu_owner,
    ),
)
