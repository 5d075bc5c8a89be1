"""How many pods may be away at the same time when nodes are drained."""

from __future__ import annotations

from collections.abc import Mapping

from components.kubernetes.manifests.meta import (
    Manifest,
    manifest,
    model_labels,
    part_labels,
    part_selector,
    workload_selector,
)
from components.kubernetes.model import KubernetesModel, KubernetesPlan


def model_budget(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """One replica of a model at a time."""
    return _budget(plan, model.workload, workload_selector(model), model_labels(plan, model))


def part_budget(plan: KubernetesPlan, part: str) -> Manifest:
    """One pod of the router or another part at a time."""
    return _budget(plan, part, part_selector(part), part_labels(plan, part))


def _budget(plan: KubernetesPlan, name: str, selector: Mapping[str, str], labels: Mapping[str, str]) -> Manifest:
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": dict(selector)},
        # A pod that does not work anyway never keeps a node from being drained.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest("policy/v1", "PodDisruptionBudget", name, {"spec": spec}, labels=labels, namespace=plan.namespace)
