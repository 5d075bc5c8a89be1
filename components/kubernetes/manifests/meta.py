"""What every manifest has: names, labels, and the selectors that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.kubernetes.model import KubernetesModel, KubernetesPlan

Manifest = dict[str, Any]
"""A Kubernetes object with the keys of its YAML."""

PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
STACK = "paddock/stack"
GENERATION = "paddock/generation"

MODEL_COMPONENT = "model"
ROUTER = "router"
WEB_UI = "web-ui"
VALKEY = "valkey"
SERVICE_ACCOUNT = "paddock"

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""Tells Pulumi not to wait for an object that may rightly never look ready by itself."""
REPLACE_UNREADY = {"pulumi.com/replaceUnready": "true"}
"""Tells Pulumi to make a Job anew that failed: by itself it never runs again."""
PROTECT = {"paddock/protect": "true"}
"""Says of an object that holds data that Pulumi is to keep it from deletion."""


def fleet_labels(plan: KubernetesPlan) -> dict[str, str]:
    """What every object of the fleet is labelled with."""
    # A label's value has at most 63 characters, and ends with a letter or digit.
    return {PART_OF: "paddock", STACK: plan.stack[:63].rstrip("-_.")}


def part_selector(part: str) -> dict[str, str]:
    """What selects the pods of the router, the web UI or Valkey."""
    return {NAME: part, PART_OF: "paddock"}


def model_selector(model: KubernetesModel) -> dict[str, str]:
    """What a model's pods have in common, old and new alike."""
    return {NAME: model.engine, INSTANCE: model.safe_name, COMPONENT: MODEL_COMPONENT}


def workload_selector(model: KubernetesModel) -> dict[str, str]:
    """What selects the pods of a model's present workload alone."""
    return {**model_selector(model), GENERATION: model.generation}


def part_labels(plan: KubernetesPlan, part: str) -> dict[str, str]:
    """The labels of the router's, the web UI's or Valkey's objects."""
    return {**fleet_labels(plan), **part_selector(part), COMPONENT: part}


def model_labels(plan: KubernetesPlan, model: KubernetesModel) -> dict[str, str]:
    """The labels of a model's objects."""
    return {**fleet_labels(plan), **workload_selector(model)}


def manifest(
    api_version: str,
    kind: str,
    name: str,
    body: Mapping[str, Any],
    *,
    labels: Mapping[str, str],
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Put an object together: its head, then ``body``. ``namespace`` is None for an object of the whole cluster."""
    metadata: dict[str, Any] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def identity(one: Manifest) -> tuple[str, str, str]:
    """Kind, namespace and name: what no two objects may share."""
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]
