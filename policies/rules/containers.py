"""Containers: they say what they need, and how it is seen that they work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.rules import docker
from policies.rules.rule import Facts, Finding, Manifest, Rule, containers, items, mapping, pod_spec, where

_SERVERS = ("Deployment", "StatefulSet", "DaemonSet")


def _limits_and_requests(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        if docker.lacks_limit(manifest):
            yield Finding(where(manifest), "it has no limit of memory", "write memory")
        for container in containers(pod_spec(manifest) or {}):
            resources = mapping(container.get("resources"))
            for side in ("requests", "limits"):
                amounts = mapping(resources.get(side))
                lacking = [name for name in ("cpu", "memory") if name not in amounts]
                if lacking:
                    yield Finding(
                        where(manifest),
                        f"{container.get('name')} has no {side} of {' and '.join(lacking)}",
                        f"write resources.{side}",
                    )


def _probes(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        if docker.lacks_check(manifest):
            yield Finding(where(manifest), "it has no health check", "add a healthcheck")
        if manifest.get("kind") not in _SERVERS:
            continue
        for container in items((pod_spec(manifest) or {}).get("containers")):
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in container:
                    yield Finding(where(manifest), f"{container.get('name')} has no {probe}", f"add a {probe}")


RULES = (
    Rule(
        "limits-and-requests",
        "Containers have requests and limits of CPU and memory",
        "Without requests pods are packed until they starve; without limits one eats its node.",
        "mandatory",
        _limits_and_requests,
    ),
    Rule(
        "probes",
        "Servers have readiness and liveness probes",
        "Requests reach a server that has no model yet, and one that hangs is never started again.",
        "advisory",
        _probes,
    ),
)
