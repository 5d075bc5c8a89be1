"""A Docker host in a plan: the containers as the policies look at them, and its main memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic.alias_generators import to_camel

from cli.plan.host_memory import HostMemory
from components.docker.describe import describe
from components.docker.model import DockerPlan
from components.docker.resources import container_arguments
from policies.rules.docker import CONTAINER, IMAGE, manifest_of
from policies.rules.rule import UNKNOWN, Manifest

_BY_USER = frozenset({"tmpfs", "log_opts"})
"""Arguments whose keys are paths and options, not names of fields."""


class _Unread(dict[str, str]):
    """The contents of files, which no rule looks at and a plan does not know."""

    def __missing__(self, name: str) -> str:
        return UNKNOWN


def docker_manifests(plan: DockerPlan) -> tuple[Manifest, ...]:
    """The containers and the images that are pulled, as the engine would show them to the rules."""
    fleet = describe(plan)
    built = fleet.router_image if plan.spec.router.build is not None else None
    images = sorted({one.image for one in fleet.containers} - {built})
    arguments = {
        one.name: container_arguments(fleet, one, image=one.image, contents=_Unread()) for one in fleet.containers
    }
    return (
        *(manifest_of(IMAGE, image, {"name": image}) for image in images),
        *(manifest_of(CONTAINER, name, _inputs(one)) for name, one in arguments.items()),
    )


def host_memory(plan: DockerPlan, has_bytes: int | None) -> HostMemory:
    """What a fleet asks of its host's main memory.

    Args:
        plan: The fleet.
        has_bytes: What the host has, where that is known.
    """
    return HostMemory(
        needed_bytes=sum(len(model.gpus) * (model.needed_bytes or 0) for model in plan.models),
        limit_bytes=sum(one.memory_bytes for one in describe(plan).containers if not one.one_shot),
        has_bytes=has_bytes,
    )


def _inputs(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A program's arguments by the names that the engine has for them."""
    return {to_camel(name): value if name in _BY_USER else _renamed(value) for name, value in arguments.items()}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {to_camel(name): _renamed(item) for name, item in fields.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in cast("list[Any]", value)]
    return value
