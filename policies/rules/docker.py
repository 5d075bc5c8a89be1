"""Docker's containers and images: what the rules that are not of a cluster alone look at in them."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.rule import Finding, Manifest, items, mapping, where

CONTAINER, IMAGE = "DockerContainer", "DockerImage"
KINDS = {"docker:index/container:Container": CONTAINER, "docker:index/remoteImage:RemoteImage": IMAGE}
"""Pulumi's types, and the kinds of manifests that stand for them: their inputs under ``spec``."""
_OWN_RIGHTS = {"CAP_CHOWN", "CAP_DAC_OVERRIDE"}
"""What giving a file away takes. A container without a network may have them."""
_SOCKET = "docker.sock"


def named_images(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The image that is pulled, and by what part; containers name it by its id."""
    if manifest.get("kind") == IMAGE:
        yield "it", str(mapping(manifest.get("spec")).get("name", ""))


def privileges(manifest: Manifest) -> Iterator[Finding]:
    """Rights over the host."""
    if manifest.get("kind") != CONTAINER:
        return
    spec = mapping(manifest.get("spec"))
    if spec.get("privileged") is True:
        yield Finding(where(manifest), "it is privileged", "write privileged: false")
    for field in ("networkMode", "pidMode", "ipcMode", "usernsMode"):
        if spec.get(field) == "host":
            yield Finding(where(manifest), f"{field} is host", f"remove {field}")
    alone = spec.get("networkMode") == "none"
    added = set(mapping(spec.get("capabilities")).get("adds") or ()) - (_OWN_RIGHTS if alone else set[str]())
    if added:
        yield Finding(where(manifest), f"it adds capabilities {', '.join(sorted(added))}", "add none")
    for mount in (*items(spec.get("mounts")), *items(spec.get("volumes"))):
        source = str(mount.get("source", mount.get("hostPath", "")))
        if source.endswith(_SOCKET):
            yield Finding(where(manifest), f"it mounts {source}, and with it the whole host", "mount it nowhere")


def texts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What anybody who may look at a container reads: variables by name, and arguments without one."""
    if manifest.get("kind") != CONTAINER:
        return
    spec = mapping(manifest.get("spec"))
    for variable in spec.get("envs") or ():
        name, _, value = str(variable).partition("=")
        yield name, value
    for argument in (*(spec.get("entrypoints") or ()), *(spec.get("command") or ())):
        yield "", str(argument)


def lacks_limit(manifest: Manifest) -> bool:
    """Whether a container may take all of the host's memory."""
    return manifest.get("kind") == CONTAINER and "memory" not in mapping(manifest.get("spec"))


def lacks_check(manifest: Manifest) -> bool:
    """Whether nobody would see that a server hangs. One that does its work and ends needs no check."""
    spec = mapping(manifest.get("spec"))
    return manifest.get("kind") == CONTAINER and spec.get("mustRun", True) is True and "healthcheck" not in spec


def manifest_of(kind: str, name: str, spec: Manifest) -> Manifest:
    """The manifest that stands for one of Docker's resources."""
    return {"kind": kind, "metadata": {"name": str(spec.get("name", name))}, "spec": spec}
