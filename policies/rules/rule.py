"""What a rule is, what it finds, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fleet_spec.policy_spec import Level, RuleName

Manifest = Mapping[str, Any]
"""A Kubernetes object with the keys of its YAML."""

UNKNOWN = "[unknown]"
"""Stands in a manifest for a value that only an ``up`` will know. Rules find no fault with it."""

SECRET = "[secret]"  # noqa: S105
"""Stands in a manifest for a value that is kept secret."""


@dataclass(frozen=True)
class ModelFacts:
    """What rules look at of a model."""

    name: str
    model: str
    licence: str | None
    """The catalogue's name of its licence; None for weights of the user's own."""
    commercial_use: Literal["allowed", "conditional", "forbidden"] | None
    gpu: str | None
    most_replicas: int


@dataclass(frozen=True)
class Facts:
    """What rules look at beside manifests: the stack's config, and what follows from it."""

    production: bool = False
    """Whether the stack counts as production."""
    registries: tuple[str, ...] | None = None
    licences: tuple[str, ...] | None = None
    storage_classes: tuple[str, ...] | None = None
    ceiling_monthly_usd: float | None = None
    most_monthly_usd: float | None = None
    """What the fleet costs with every replica that it may have; None where a price is not known."""
    models: tuple[ModelFacts, ...] = ()


@dataclass(frozen=True, order=True)
class Finding:
    """Something that breaks a rule."""

    where: str
    """``Kind/name`` of an object, or a path in the stack's config."""
    what: str
    """What is wrong there, the value named unless it is a secret."""
    fix: str


Check = Callable[[Sequence[Manifest], Facts], Iterator[Finding]]


@dataclass(frozen=True)
class Rule:
    """A rule."""

    name: RuleName
    title: str
    """What must hold, in a few words."""
    why: str
    """What happens where it does not."""
    level: Level
    """How strict, where the stack's config says nothing."""
    check: Check
    scope: Literal["object", "fleet"] = "object"
    """``object``: judges each object by itself; ``fleet``: needs to see all of them."""


def where(manifest: Manifest) -> str:
    """How findings name an object: ``Deployment/router``."""
    return f"{manifest.get('kind', '?')}/{metadata(manifest).get('name', '?')}"


def metadata(manifest: Manifest) -> Mapping[str, Any]:
    """An object's metadata; empty where it has none."""
    return mapping(manifest.get("metadata"))


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one: rules go on over what is missing or not known."""
    return value if isinstance(value, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def items(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list; none where it is no list."""
    if not isinstance(value, (list, tuple)):
        return []
    return [mapping(one) for one in value]  # pyright: ignore[reportUnknownVariableType]


def is_known(value: Any) -> bool:
    """Whether a value is known now."""
    return value != UNKNOWN


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    """The objects of these kinds."""
    return [one for one in manifests if one.get("kind") in kinds]


_POD_MAKERS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet")


def pod_spec(manifest: Manifest) -> Mapping[str, Any] | None:
    """The pods that an object makes; None where it makes none."""
    kind, spec = manifest.get("kind"), mapping(manifest.get("spec"))
    if kind == "Pod":
        return spec
    if kind == "CronJob":
        spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
    elif kind not in _POD_MAKERS:
        return None
    return mapping(mapping(spec.get("template")).get("spec"))


def containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A pod's containers, those that run first included."""
    return [*items(pod.get("initContainers")), *items(pod.get("containers"))]
