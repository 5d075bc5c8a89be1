"""Scaling: a workload's number of replicas has one owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from policies.rules.rule import Facts, Finding, Manifest, Rule, mapping, metadata, of_kind, where


def _one_scaler(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    scalers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject"):
        target = mapping(mapping(scaler.get("spec")).get("scaleTargetRef"))
        # KEDA takes a Deployment where no kind is named.
        scalers[str(target.get("kind", "Deployment")), str(target.get("name", "?"))].append(where(scaler))
    there = {(str(one["kind"]), str(metadata(one).get("name"))): one for one in _workloads(manifests)}
    for (kind, name), found in scalers.items():
        if len(found) > 1:
            yield Finding(f"{kind}/{name}", f"{' and '.join(found)} both set its replicas", "keep one scaler")
        workload = there.get((kind, name))
        if workload is None:
            yield Finding(found[0], f"it scales {kind}/{name}, which is not there", "name a workload of the fleet")
        elif "replicas" in mapping(workload.get("spec")) and not _starts_only(workload):
            yield Finding(
                f"{kind}/{name}", f"it names its replicas, which {found[0]} sets too", "leave spec.replicas out"
            )


def _workloads(manifests: Sequence[Manifest]) -> list[Manifest]:
    return of_kind(manifests, "Deployment", "StatefulSet")


def _starts_only(workload: Manifest) -> bool:
    """Whether the engine looks away from the number after the workload has been made with it."""
    return "spec.replicas" in mapping(workload.get("paddockOptions")).get("ignoreChanges", ())


RULES = (
    Rule(
        "one-scaler",
        "Each workload has one scaler, and no number of its own beside it",
        "Two owners of one number undo each other's work for ever: replicas come and go under load.",
        "mandatory",
        _one_scaler,
        "fleet",
    ),
)
