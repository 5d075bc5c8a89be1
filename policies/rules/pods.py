"""Pods: no privileges, and Kubernetes' restricted security standard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.rules import docker
from policies.rules.rule import Facts, Finding, Manifest, Rule, containers, items, mapping, pod_spec, where

_HOST = ("hostNetwork", "hostPID", "hostIPC")


def _no_privileged_pods(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        yield from docker.privileges(manifest)
        pod = pod_spec(manifest)
        if pod is None:
            continue
        for field in _HOST:
            if pod.get(field) is True:
                yield Finding(where(manifest), f"{field} is true", f"remove {field}")
        for volume in items(pod.get("volumes")):
            if "hostPath" in volume:
                path = mapping(volume["hostPath"]).get("path", "?")
                yield Finding(where(manifest), f"it mounts {path} of its node", "use a claim or an emptyDir")
        for container in containers(pod):
            security = mapping(container.get("securityContext"))
            if security.get("privileged") is True:
                yield Finding(where(manifest), f"{container.get('name')} is privileged", "write privileged: false")
            added = mapping(security.get("capabilities")).get("add")
            if added:
                yield Finding(
                    where(manifest), f"{container.get('name')} adds capabilities {', '.join(added)}", "add none"
                )


def _restricted_pods(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        pod = pod_spec(manifest)
        if pod is None:
            continue
        shared = mapping(pod.get("securityContext"))
        for container in containers(pod):
            own = mapping(container.get("securityContext"))
            for problem, fix in _lacking(shared, own):
                yield Finding(where(manifest), f"{container.get('name')}: {problem}", fix)


def _lacking(shared: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What keeps a container from the standard ``restricted`` (kubernetes.io, Pod Security Standards)."""
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "it may run as root", "write runAsNonRoot: true"
    if own.get("runAsUser", shared.get("runAsUser")) == 0:
        yield "it runs as user 0", "write runAsUser: 1000"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges", "write allowPrivilegeEscalation: false"
    if "ALL" not in (mapping(own.get("capabilities")).get("drop") or ()):
        yield "it keeps capabilities", "write capabilities: {drop: [ALL]}"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "its root file system can be written to", "write readOnlyRootFilesystem: true"
    profile = mapping(own.get("seccompProfile")) or mapping(shared.get("seccompProfile"))
    if profile.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "it has no seccomp profile", "write seccompProfile: {type: RuntimeDefault}"


RULES = (
    Rule(
        "no-privileged-pods",
        "No pod has privileges",
        "Whoever breaks out of a privileged container owns the node, its GPUs and every secret on it.",
        "mandatory",
        _no_privileged_pods,
    ),
    Rule(
        "restricted-pods",
        "Pods keep to the restricted security standard",
        "A model server parses what strangers send; it needs no right beyond reading weights and answering.",
        "mandatory",
        _restricted_pods,
    ),
)
