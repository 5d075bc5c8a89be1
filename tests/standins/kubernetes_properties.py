"""What the real Kubernetes plugin does with an object's properties, as far as the stand-in needs it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"

_METADATA = (("metadata", "name"), ("metadata", "namespace"))
_REPLACED: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("apps/v1", "Deployment"): (("spec", "selector"),),
    ("apps/v1", "StatefulSet"): (
        ("spec", "podManagementPolicy"),
        ("spec", "revisionHistoryLimit"),
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "volumeClaimTemplates"),
    ),
    ("batch/v1", "Job"): (
        ("spec", "completions"),
        ("spec", "parallelism"),
        ("spec", "selector"),
        ("spec", "template"),
    ),
    ("v1", "PersistentVolumeClaim"): (("spec",),),
    ("v1", "Service"): (("spec", "clusterIP"),),
    ("v1", "ConfigMap"): (("data",), ("binaryData",)),
    ("v1", "Secret"): (("type",), ("data",), ("stringData",)),
}
"""Paths whose change replaces an object, by ``apiVersion`` and kind, as the real plugin has them."""
_MUTABLE_BY_SETTING = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}


def plain(value: Any) -> Any:
    """A value without the engine's marks of secrets."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET:
            return plain(value["value"])
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def changed_paths(old: Any, new: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where two objects differ. A list counts as one value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            if name not in old or name not in new:
                yield (*at, name)
            else:
                yield from changed_paths(old[name], new[name], (*at, name))
    elif old != new:
        yield at


def replacing_paths(manifest: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """The paths whose change replaces such an object, under a provider with these settings."""
    setting = _MUTABLE_BY_SETTING.get(manifest["kind"])
    if setting is not None and settings.get(setting) == "true" and not manifest.get("immutable"):
        return (*_METADATA, ("type",)) if manifest["kind"] == "Secret" else _METADATA
    return (*_METADATA, *_REPLACED.get((manifest["apiVersion"], manifest["kind"]), ()))


def is_below(path: tuple[str, ...], root: tuple[str, ...]) -> bool:
    """Whether a path is a root, or leads into it, or out of it."""
    shorter = min(len(path), len(root))
    return path[:shorter] == root[:shorter]


def projected(live: Any, shape: Any) -> Any:
    """What of a live object a program spoke of: drift there is a drift, and what the cluster added is none."""
    if isinstance(live, Mapping) and isinstance(shape, Mapping):
        return {name: projected(live[name], shape[name]) for name in shape if name in live}
    return live
