"""Everything about a stack that can be found wrong before the engine is started, found at once."""

from __future__ import annotations

from cli.console import Step
from cli.project import Project
from cli.stack_spec import spec_of
from components.docker.preflight import docker_problems
from components.local.preflight import local_problems
from fleet_spec.errors import Problem, SpecError
from fleet_spec.spec import FleetSpec
from fleet_spec.stack_file import read_stack_file


def check_stack(project: Project, stack: str) -> FleetSpec:
    """Read and check a stack's config as far as is possible without the engine.

    Raises:
        BadInputError: there is no such stack or its file cannot be read.
        SpecError: with every mistake, or everything that this machine lacks.
    """
    file = read_stack_file(project.directory, stack)
    spec = spec_of(file)
    problems: list[Problem] = []
    if spec.target == "local":
        if any(model.weights is not None for model in spec.models.values()):
            with Step("checking files of weights") as step:
                problems += local_problems(spec, project.directory, stack, progress=step.update)
                step.finish("checked files of weights")
        else:
            problems += local_problems(spec, project.directory, stack, progress=lambda _: None)
    if spec.target == "docker":
        problems += docker_problems(spec, project.directory, stack)
    if problems:
        raise SpecError(problems, file.path.name)
    return spec
