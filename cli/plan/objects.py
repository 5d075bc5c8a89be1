"""The objects that a stack would make, as the policies look at them; and the models that cannot be among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.plan.host_memory import HostMemory
from fleet_spec.catalogue import Catalogue
from fleet_spec.errors import Problem, SpecError
from fleet_spec.spec import FleetSpec
from policies.rules.rule import Manifest

_FIT_KEYS = (".gpu", ".resources.limits.memory")
"""Where the plan of a target says that a model does not fit."""


@dataclass(frozen=True)
class Objects:
    """What a stack would make."""

    manifests: tuple[Manifest, ...] = ()
    """Without those of models that do not fit."""
    misfits: Mapping[str, list[Problem]] = field(default_factory=dict[str, list[Problem]])
    """Why each of these does not."""
    host_memory: HostMemory | None = None
    """For a Docker host: what its main memory is asked for."""


def objects_of(
    spec: FleetSpec, stack: str, catalogue: Catalogue, project: Path, machine_memory_bytes: int | None
) -> Objects:
    """The objects of a stack. A local one has none that policies look at.

    Args:
        spec: Its config, checked.
        stack: Its name.
        catalogue: The models to know.
        project: The project's directory.
        machine_memory_bytes: What a Docker host has; None where that is not known.

    Raises:
        SpecError: the config has mistakes beyond models that do not fit.
    """
    if spec.target == "local":
        return Objects()
    misfits: dict[str, list[Problem]] = {}
    try:
        return _planned(spec, stack, catalogue, project, machine_memory_bytes, misfits)
    except SpecError as error:
        for problem in error.problems:
            name = _misfit(problem, spec)
            if name is None:
                raise
            misfits.setdefault(name, []).append(problem)
    rest = _without(spec, misfits)
    if not rest.models:
        return Objects(misfits=misfits)
    return _planned(rest, stack, catalogue, project, machine_memory_bytes, misfits)


def _planned(
    spec: FleetSpec,
    stack: str,
    catalogue: Catalogue,
    project: Path,
    machine_memory_bytes: int | None,
    misfits: Mapping[str, list[Problem]],
) -> Objects:
    # Only the builders of the one target are read in: a plan is to be there at once.
    if spec.target == "docker":
        from cli.plan.docker_host import docker_manifests, host_memory
        from components.docker import plan as docker

        plan = docker.plan_fleet(spec, stack, catalogue, project)
        return Objects(docker_manifests(plan), misfits, host_memory(plan, machine_memory_bytes))
    from components.kubernetes import plan as kubernetes
    from components.kubernetes.groups import fleet_groups

    groups = fleet_groups(kubernetes.plan_fleet(spec, stack, catalogue))
    return Objects(tuple(manifest for group in groups for manifest in group.manifests), misfits)


def _misfit(problem: Problem, spec: FleetSpec) -> str | None:
    """The model that a problem says does not fit; None where it says something else."""
    for name in spec.models:
        if problem.key in {f"models.{name}{key}" for key in _FIT_KEYS}:
            return name
    return None


def _without(spec: FleetSpec, names: Mapping[str, object]) -> FleetSpec:
    models = {name: model for name, model in spec.models.items() if name not in names}
    aliases = {
        alias: kept
        for alias, arms in spec.aliases.items()
        if (kept := {name: weight for name, weight in arms.items() if name not in names})
    }
    return spec.model_copy(update={"models": models, "aliases": aliases})
