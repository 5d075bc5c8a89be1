"""From a plan to the whole description of a fleet."""

from __future__ import annotations

from components.docker.description import Container, DockerFleetDescription, Network, Volume
from components.docker.engines import INNER, LOADER_KEYS_VOLUME, OUTER, model_containers, uses_volume
from components.docker.model import DockerPlan
from components.docker.platform import publish, router, setup, web_ui


def describe(plan: DockerPlan) -> DockerFleetDescription:
    """Everything that a fleet consists of on its host.

    One router keeps what it counts in a volume of its own, so there is nothing to share and no Valkey.
    """
    with_ui = plan.spec.web_ui.enabled
    weights = [model.volume for model in plan.models if uses_volume(model)]
    kept = ["router-data", *(["web-ui-data"] if with_ui else [])]
    others = ["contract", "keys", *(["web-ui-keys"] if with_ui else [])]
    if plan.spec.docker.hugging_face_token is not None:
        others.append(LOADER_KEYS_VOLUME)
    models: list[Container] = [one for model in plan.models for one in model_containers(plan, model)]
    servers = [one.name for one in models if not one.one_shot]
    own = {volume: f"/volumes/{volume}" for volume in (*weights, *kept)}
    containers = [setup(plan, own), *models, publish(plan, servers), router(plan)]
    if with_ui:
        containers.append(web_ui(plan))
    return DockerFleetDescription(
        project=plan.project,
        containers=tuple(containers),
        volumes=(
            *(Volume(name) for name in weights),
            *(Volume(name, keep=True) for name in kept),
            *(Volume(name) for name in others),
        ),
        networks=(Network(INNER, internal=True), Network(OUTER, internal=False)),
        router_image=plan.router_image,
    )
