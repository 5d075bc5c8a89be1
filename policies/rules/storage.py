"""Storage: claims name allowed classes, and what holds data is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.rules.rule import Facts, Finding, Manifest, Rule, items, mapping, metadata, pod_spec, where

PROTECT = "paddock/protect"
"""The annotation of an object that the engine keeps from deletion."""
_COMPONENT = "app.kubernetes.io/component"
_MODEL = "model"
"""The component whose claims hold weights, which can be fetched again."""


def _claims(manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    """The specs of every claim that an object is, or makes."""
    spec = mapping(manifest.get("spec"))
    if manifest.get("kind") == "PersistentVolumeClaim":
        yield spec
    for template in items(spec.get("volumeClaimTemplates")):
        yield mapping(template.get("spec"))
    for volume in items((pod_spec(manifest) or {}).get("volumes")):
        template = mapping(mapping(volume.get("ephemeral")).get("volumeClaimTemplate"))
        if template:
            yield mapping(template.get("spec"))


def _storage_class(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    if facts.storage_classes is None:
        return
    for manifest in manifests:
        for claim in _claims(manifest):
            named = claim.get("storageClassName")
            if named not in facts.storage_classes:
                shown = "the cluster's default class" if named is None else f"the class {named!r}"
                yield Finding(
                    where(manifest),
                    f"a claim takes {shown}, none of {', '.join(facts.storage_classes)}",
                    f"write storageClass: {facts.storage_classes[0]}" if facts.storage_classes else "allow one",
                )


def _protected_claims(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    if not facts.production:
        return
    for manifest in manifests:
        if mapping(metadata(manifest).get("labels")).get(_COMPONENT) == _MODEL:
            continue
        kind, spec = manifest.get("kind"), mapping(manifest.get("spec"))
        if kind == "PersistentVolumeClaim" and not _is_protected(manifest):
            yield Finding(where(manifest), "it holds data, and nothing keeps it from deletion", "write protect: true")
        retention = mapping(spec.get("persistentVolumeClaimRetentionPolicy"))
        if kind == "StatefulSet" and spec.get("volumeClaimTemplates") and "Delete" in retention.values():
            yield Finding(
                where(manifest), "its claims, which hold data, go with it", "write Retain in its retention policy"
            )


def _is_protected(manifest: Manifest) -> bool:
    by_engine = mapping(manifest.get("paddockOptions")).get("protect")
    return by_engine is True or mapping(metadata(manifest).get("annotations")).get(PROTECT) == "true"


RULES = (
    Rule(
        "storage-class",
        "Claims name an allowed storage class",
        "Another class may be slow, dear, unencrypted or in one zone alone, and cannot be changed later.",
        "mandatory",
        _storage_class,
    ),
    Rule(
        "protected-claims",
        "In production, what holds data is kept from deletion",
        "One wrong destroy takes conversations, users and what was spent with it.",
        "mandatory",
        _protected_claims,
    ),
)
