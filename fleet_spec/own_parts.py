"""What runs of a fleet beside its models on a cluster, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_spec.quantities import amount
from fleet_spec.spec import FleetSpec

_GIB = 2**30
_ROUTER, _WEB_UI, _VALKEY = ("500m", "256Mi"), ("250m", "1Gi"), ("100m", "256Mi")
"""CPU and memory that their pods request."""


@dataclass(frozen=True)
class Part:
    """One of the fleet's own parts."""

    name: str
    least_replicas: int
    most_replicas: int
    cpus: float = 0.0
    """That a replica requests."""
    memory_gib: float = 0.0
    storage_gib: float = 0.0
    """That all replicas share."""
    load_balancers: int = 0


def own_parts(spec: FleetSpec) -> tuple[Part, ...]:
    """The parts that a stack pays for: none on a machine that is there anyway.

    An Ingress or a Gateway stands behind one load balancer, which other applications may share.
    """
    if spec.target != "kubernetes":
        return ()
    parts = [_part("router", spec.router.replicas.min, spec.router.replicas.max, _ROUTER)]
    if spec.web_ui.enabled:
        parts.append(_part("web UI", 1, 1, _WEB_UI, spec.web_ui.size))
    if spec.valkey.mode == "fleet":
        parts.append(_part("Valkey", 1, 1, _VALKEY, spec.valkey.size))
    if spec.ingress.enabled:
        parts.append(Part("ingress", 1, 1, load_balancers=1))
    return tuple(parts)


def _part(name: str, least: int, most: int, requests: tuple[str, str], size: str = "0") -> Part:
    cpu, memory = requests
    return Part(name, least, most, float(amount(cpu)), amount(memory) / _GIB, amount(size) / _GIB)
