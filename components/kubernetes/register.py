"""From a manifest to a Pulumi resource.

The resources are those of pulumi-kubernetes, by their type tokens: its typed classes would take the same dicts and
pass them on unchanged, and take four times as long over each.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import cache
from typing import Any

import pulumi

from components.kubernetes.groups import Stages
from components.kubernetes.manifests.meta import PROTECT, Manifest
from fleet_spec.errors import BadInputError

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "Job"})
_SCALED = frozenset({"Deployment", "StatefulSet"})
_WORKLOAD_SECONDS_BESIDES_LOADING = 900
"""What a roll-out may take besides loading weights: nodes that have to be made, images that have to be pulled."""


@cache
def plugin_version() -> str:
    """The version of pulumi-kubernetes, whose plugin the engine is to use.

    Raises:
        BadInputError: the package is not installed.
    """
    try:
        return importlib.metadata.version("pulumi-kubernetes")
    except importlib.metadata.PackageNotFoundError as error:
        raise BadInputError(
            "the Kubernetes target needs the package pulumi-kubernetes. fix: pip install 'paddock[kubernetes]'"
        ) from error


def type_token(manifest: Manifest) -> str:
    """The Pulumi type of a manifest: ``kubernetes:apps/v1:Deployment``, ``kubernetes:core/v1:Service``."""
    api_version: str = manifest["apiVersion"]
    group = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group}:{manifest['kind']}"


def register(
    manifest: Manifest,
    name: str,
    *,
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource] = (),
    load_timeout_seconds: int = 0,
    first_replicas: int | None = None,
) -> pulumi.CustomResource:
    """Register one object.

    Args:
        manifest: The object, as it is.
        name: The resource's name.
        parent: The component that it belongs to.
        depends_on: What must be there, and ready, first.
        load_timeout_seconds: How long the pods of a workload may take to load what they serve.
        first_replicas: With how many a workload starts whose number something else decides from then on.
    """
    opts = pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on), version=plugin_version())
    if manifest["kind"] in _WORKLOADS:
        timeout = f"{load_timeout_seconds + _WORKLOAD_SECONDS_BESIDES_LOADING}s"
        opts.custom_timeouts = pulumi.CustomTimeouts(create=timeout, update=timeout)
    if manifest["kind"] == "Secret":
        opts.additional_secret_outputs = ["stringData", "data"]
    if PROTECT.items() <= manifest["metadata"].get("annotations", {}).items():
        opts.protect = True
    props: dict[str, Any] = dict(manifest)
    if first_replicas is not None and manifest["kind"] in _SCALED and "replicas" not in manifest["spec"]:
        # Without it there would be one, until the scaler is there and looks: not what a model's users are used to
        # when it takes the place of another. Ignored from then on, the number is the scaler's alone.
        props["spec"] = {**manifest["spec"], "replicas": first_replicas}
        opts.ignore_changes = ["spec.replicas"]
    return pulumi.CustomResource(type_token(manifest), name, props, opts)


def register_stages(
    parent: pulumi.Resource,
    name: str,
    stages: Stages,
    *,
    depends_on: Sequence[pulumi.Resource] = (),
    load_timeout_seconds: int = 0,
    first_replicas: int | None = None,
) -> list[pulumi.CustomResource]:
    """Register stage after stage, each waiting for the one before it. Returns the last stage's resources.

    Args:
        parent: The component that they belong to.
        name: The component's name, from which every resource takes its own.
        stages: What to register.
        depends_on: What the first stage waits for.
        load_timeout_seconds: As for :func:`register`.
        first_replicas: As for :func:`register`.
    """
    before: list[pulumi.Resource] = list(depends_on)
    made: list[pulumi.CustomResource] = []
    for stage in stages:
        if not stage:
            continue
        made = [
            register(
                manifest,
                resource_name(name, manifest),
                parent=parent,
                depends_on=before,
                load_timeout_seconds=load_timeout_seconds,
                first_replicas=first_replicas,
            )
            for manifest in stage
        ]
        before = [*made]
    return made


def resource_name(component: str, manifest: Manifest) -> str:
    """A resource's name below a component: the object's own, with the component's in front where it lacks that."""
    own: str = manifest["metadata"]["name"]
    return own if own == component or own.startswith(f"{component}-") else f"{component}-{own}"
