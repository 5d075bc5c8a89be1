"""A good fleet for the policies: every manifest of a production stack with everything on, and the facts of it."""

from __future__ import annotations

import copy
from typing import Any

from components.kubernetes.groups import fleet_groups
from components.kubernetes.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.fleet_cost import FleetCosts
from fleet_spec.loading import load_spec
from policies.facts import facts_of
from policies.rules import RULES
from policies.rules.rule import Facts, Finding, Rule

CONFIG: dict[str, Any] = {
    "target": "kubernetes",
    "models": {
        "chat": {"model": "mistral:7b", "gpu": "nvidia-l4", "replicas": {"min": 2, "max": 4}},
        "code": {"model": "qwen2.5:7b", "gpu": "nvidia-l4", "replicas": 2, "storage": {"mode": "shared"}},
    },
    "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 4, "maxNodes": 4}},
    "router": {"image": "registry.example.com/paddock:1.0.0"},
    "storage": {"storageClass": "fast-ssd"},
    "webUi": {"enabled": True, "storageClass": "fast-ssd"},
    "valkey": {"storageClass": "fast-ssd"},
    "ingress": {"enabled": True, "host": "llm.example.com", "tlsSecret": "llm-tls"},
    "policies": {
        "monthlyUsd": 10_000,
        "registries": ["registry.example.com", "docker.io/ollama", "docker.io/valkey", "ghcr.io/open-webui"],
        "licences": ["Apache-2.0"],
        "storageClasses": ["fast-ssd"],
    },
}


def good_fleet() -> tuple[list[dict[str, Any]], Facts]:
    """Manifests to change at will, and the facts."""
    spec = load_spec(CONFIG)
    catalogue = load_catalogue()
    groups = fleet_groups(plan_fleet(spec, "prod", catalogue))
    manifests = [copy.deepcopy(one) for group in groups for one in group.manifests]
    return manifests, facts_of(spec, "prod", catalogue, FleetCosts(spec).most_monthly_usd())


def rule(name: str) -> Rule:
    return next(one for one in RULES if one.name == name)


def findings(name: str, manifests: list[dict[str, Any]], facts: Facts) -> list[Finding]:
    return list(rule(name).check(manifests, facts))


def one_of(manifests: list[dict[str, Any]], kind: str, begins: str = "") -> dict[str, Any]:
    """The first object of a kind whose name begins so."""
    return next(one for one in manifests if one["kind"] == kind and one["metadata"]["name"].startswith(begins))


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    """The main container of what a workload runs."""
    return manifest["spec"]["template"]["spec"]["containers"][0]
