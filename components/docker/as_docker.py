"""A fleet of another target, as it would be on a Docker host."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_spec.docker_spec import DockerSpec
from fleet_spec.model_spec import ModelSpec, ReplicaRange
from fleet_spec.spec import FleetSpec

LOCAL_ROUTER_IMAGE = "localhost/paddock-router:1"
"""What the router's image is called where the config names none and it is built by hand."""


@dataclass(frozen=True)
class Adapted:
    """The spec for Docker, and what of it is otherwise there, in words."""

    spec: FleetSpec
    notes: tuple[str, ...]


def as_docker(spec: FleetSpec) -> Adapted:
    """A spec for the Docker target with the same models, governance, router and web UI.

    What only a cluster has is left out: autoscaling, ingress, GPU pools, claims, monitoring, Valkey.
    """
    if spec.target == "docker":
        return Adapted(spec, ())
    notes: list[str] = []
    router = spec.router.model_copy(update={"keys_secret": None})
    if router.image is None and router.build is None:
        router = router.model_copy(update={"image": LOCAL_ROUTER_IMAGE})
        notes.append(
            f"router.image: none is named, so it is {LOCAL_ROUTER_IMAGE}: docker build --tag {LOCAL_ROUTER_IMAGE} ."
        )
    models = {name: _model(name, model, notes) for name, model in spec.models.items()}
    changes: dict[str, object] = {
        name: FleetSpec.model_fields[name].get_default(call_default_factory=True)
        for name in ("autoscaling", "valkey", "kubernetes", "storage", "gpu_pools", "monitoring", "ingress")
    }
    if spec.ingress.enabled:
        notes.append("ingress: left out; put a reverse proxy with a certificate before the router's port")
    changes |= {"target": "docker", "docker": DockerSpec(), "models": models, "router": router}
    changes["web_ui"] = spec.web_ui.model_copy(update={"secret_key": None})
    return Adapted(spec.model_copy(update=changes), tuple(notes))


def _model(name: str, model: ModelSpec, notes: list[str]) -> ModelSpec:
    changes: dict[str, object] = {"autoscaling": None, "rollout": None}
    plain = ModelSpec(model=model.model)
    changes |= {"pods": plain.pods, "storage": plain.storage}
    if not model.replicas.fixed:
        count = max(1, model.replicas.min)
        changes["replicas"] = ReplicaRange(min=count, max=count)
        notes.append(f"models.{name}: {count} replicas; nothing scales them on one host")
    return model.model_copy(update=changes)
