"""What must hold between the parts of a spec for the Kubernetes target, as far as the spec alone can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fleet_spec.checks_gpu_pools import capacity_problems, gpu_problems, pool_problems
from fleet_spec.checks_versions import older, too_old
from fleet_spec.checks_vllm import vllm_problems
from fleet_spec.errors import Problem
from fleet_spec.kubernetes_spec import AutoscalingSpec
from fleet_spec.model_spec import ModelSpec
from fleet_spec.spec import FleetSpec

OLDEST_VERSION = "1.31"
"""The oldest Kubernetes that the target is tested with."""


def kubernetes_problems(rest: FleetSpec, models: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    """Every mistake between the parts of a config for Kubernetes.

    Args:
        rest: All sections but the models.
        models: The models without mistakes of their own.
    """
    if older(rest.kubernetes.version, OLDEST_VERSION):
        yield Problem(
            "kubernetes.version",
            f"{rest.kubernetes.version!r} is older than the oldest that this target is tested with",
            f"write {OLDEST_VERSION} or later",
        )
    for name, pool in rest.gpu_pools.items():
        yield from pool_problems(f"gpuPools.{name}", pool, rest)
    for name, model in models.items():
        key = f"models.{name}"
        yield from _engine(key, model)
        yield from _scaling(key, model, rest)
        yield from _storage(key, model, rest)
        yield from gpu_problems(key, model, rest)
    yield from capacity_problems(rest, models)
    yield from _outside(rest)


def _engine(key: str, model: ModelSpec) -> Iterator[Problem]:
    if model.engine == "llamacpp":
        yield Problem(f"{key}.engine", "'llamacpp' is not served on Kubernetes", "write ollama or vllm")
    if model.weights is not None:
        yield Problem(
            f"{key}.weights",
            "a file of this machine is not in the cluster",
            "bake it into an image: storage.mode image",
        )
    if model.engine == "vllm":
        yield from vllm_problems(key, model)


def _scaling(key: str, model: ModelSpec, rest: FleetSpec) -> Iterator[Problem]:
    scaling: AutoscalingSpec = model.autoscaling or rest.autoscaling
    replicas = model.replicas
    if model.autoscaling is not None and replicas.fixed:
        yield Problem(
            f"{key}.autoscaling",
            f"nothing scales between {replicas.min} and {replicas.max}",
            "write replicas: {min: 1, max: 4}, or remove it",
        )
    if replicas.fixed:
        return
    if replicas.min == 0 and not scaling.scale_to_zero:
        yield Problem(
            f"{key}.replicas",
            "min 0 without autoscaling.scaleToZero: a model that sleeps would never be woken",
            "write autoscaling.scaleToZero: true, or min: 1",
        )
    elif scaling.scale_to_zero and scaling.kind == "hpa":
        yield from too_old(
            f"{key}.autoscaling.scaleToZero", "an HPA that scales to zero", rest, "or autoscaling.kind: keda"
        )
    if scaling.kind == "keda" and rest.monitoring.prometheus_url is None:
        yield Problem(
            "monitoring.prometheusUrl",
            "is missing, and KEDA asks Prometheus for what it scales on",
            "write where it answers, such as http://prometheus-operated.monitoring.svc:9090",
        )


def _storage(key: str, model: ModelSpec, rest: FleetSpec) -> Iterator[Problem]:
    mode = model.storage.mode or rest.storage.mode
    if mode == "image":
        yield from too_old(f"{key}.storage.mode", "image volumes", rest, "or another storage mode")
        if model.storage.image is None:
            yield Problem(
                f"{key}.storage.image", "is missing: mode 'image' mounts one", "name the image of the weights"
            )
    elif model.storage.image is not None:
        yield Problem(f"{key}.storage.image", f"mode {mode!r} makes no use of it", "write mode: image, or remove it")
    if mode == "perReplica" and model.rollout == "surge":
        yield Problem(
            f"{key}.rollout",
            "'surge' would wait for ever: with perReplica the claim of a replica is in use until that replica ends",
            "write replace, or storage.mode: ephemeral or shared",
        )
    storage_class = model.storage.storage_class or rest.storage.storage_class
    if mode == "shared" and storage_class is None:
        yield Problem(
            f"{key}.storage.storageClass",
            "is missing: 'shared' needs a class that offers ReadWriteMany, and a cluster's default seldom does; "
            "replicas on other nodes would wait for ever",
            "name one, or write mode: perReplica",
        )


def _outside(rest: FleetSpec) -> Iterator[Problem]:
    outside = rest.ingress
    if not outside.enabled:
        return
    if outside.host is None:
        yield Problem("ingress.host", "is missing", "write the router's DNS name")
    if outside.kind == "ingress":
        if outside.tls_secret is None:
            yield Problem(
                "ingress.tlsSecret",
                "is missing: prompts and keys would travel in plain text",
                "name the Secret of a certificate",
            )
        if outside.gateway is not None:
            yield Problem("ingress.gateway", "kind 'ingress' makes no use of it", "write kind: gateway, or remove it")
    elif outside.gateway is None:
        yield Problem("ingress.gateway", "is missing", "name the Gateway that carries the route")
    if outside.web_ui_host is not None and not rest.web_ui.enabled:
        yield Problem("ingress.webUiHost", "the fleet has no web UI", "write webUi.enabled: true, or remove it")


def unused_elsewhere(rest: FleetSpec, models: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    """Settings of the Kubernetes target on another one: refused, so that none is ignored in silence."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in FleetSpec.model_fields.items()}
    for attribute in ("autoscaling", "valkey", "kubernetes"):
        if getattr(rest, attribute) != defaults[attribute]:
            yield Problem(attribute, f"target {rest.target!r} makes no use of it", "remove it")
    plain = ModelSpec(model="any")
    unused = ("autoscaling", "rollout", "pods", *(() if rest.target == "docker" else ("vllm",)))
    for name, model in models.items():
        yield from (
            Problem(f"models.{name}.{key}", f"target {rest.target!r} makes no use of it", "remove it")
            for key in _given(model, plain, unused)
        )


def _given(model: ModelSpec, plain: ModelSpec, attributes: Iterable[str]) -> list[str]:
    return [attribute for attribute in attributes if getattr(model, attribute) != getattr(plain, attribute)]
