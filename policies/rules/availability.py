"""Availability: in production, replicas are more than one, apart from each other, and not drained together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.rules.rule import Facts, Finding, Manifest, Rule, items, mapping, metadata, of_kind, pod_spec, where


def _spread_and_budgeted(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    if not facts.production:
        return
    budgets = [
        mapping(mapping(mapping(one.get("spec")).get("selector")).get("matchLabels"))
        for one in of_kind(manifests, "PodDisruptionBudget")
    ]
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        spec, pod = mapping(manifest.get("spec")), pod_spec(manifest) or {}
        if spec.get("replicas") == 1:
            continue  # one replica cannot be apart from itself, and a budget of it would only block drains
        if not _spread(pod):
            yield Finding(
                where(manifest), "its replicas may all be on one node", "spread them with topologySpreadConstraints"
            )
        labels = mapping(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
        if not any(selector and _matches(selector, labels) for selector in budgets):
            yield Finding(
                where(manifest),
                "no PodDisruptionBudget covers it",
                f"add one for {metadata(manifest).get('name')}, with maxUnavailable: 1",
            )


def _spread(pod: Mapping[str, Any]) -> bool:
    apart = mapping(mapping(pod.get("affinity")).get("podAntiAffinity"))
    return bool(items(pod.get("topologySpreadConstraints"))) or bool(apart)


def _matches(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


RULES = (
    Rule(
        "spread-and-budgeted",
        "In production, replicas are spread over nodes and covered by a disruption budget",
        "One node that fails, or one drain, takes every replica of a model at once.",
        "advisory",
        _spread_and_budgeted,
        "fleet",
    ),
)
