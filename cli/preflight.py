"""Everything about a stack that can be found wrong before the engine is started, found at once."""

from __future__ import annotations

from cli.console import Step
from cli.project import Project
from components.local.preflight import local_problems
from components.targets import target_problems
from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.spec import FleetSpec
from fleet_spec.stack_file import read_stack_file


def check_stack(project: Project, stack: str) -> FleetSpec:
    """Read and check a stack's config as far as is possible without the engine.

    Raises:
        BadInputError: there is no such stack or its file cannot be read.
        SpecError: with every mistake, or everything that this machine lacks.
    """
    file = read_stack_file(project.directory, stack)
    spec = load_spec(file.raw, source=file.path.name, secret_keys=file.secret_keys)
    problems = target_problems(spec)
    if spec.target == "local":
        if any(model.weights is not None for model in spec.models.values()):
            with Step("checking files of weights") as step:
                problems += local_problems(spec, project.directory, stack, progress=step.update)
                step.finish("checked files of weights")
        else:
            problems += local_problems(spec, project.directory, stack, progress=lambda _: None)
    if problems:
        raise SpecError(problems, file.path.name)
    return spec
