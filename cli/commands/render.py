"""render: the fleet as files, from the stack's config alone: Kubernetes manifests, or a compose file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cli.commands.render_docker import render_docker
from cli.console import note, write, write_json
from cli.project import find_project
from cli.rendered_files import write_files
from cli.stack_spec import read_stack_spec
from components.kubernetes.plan import plan_fleet
from components.kubernetes.rendering import NeededSecret, Rendering, render
from fleet_spec.errors import BadInputError
from fleet_spec.spec import FleetSpec

RenderedTarget = Literal["kubernetes", "docker"]


def run(stack: str, out: Path, *, target: RenderedTarget | None = None, as_json: bool) -> None:
    """Write a stack's files below ``out``.

    Args:
        stack: The stack's name.
        out: The directory to write to.
        target: What to write for. Default: the stack's own target.
        as_json: Whether to print one JSON document.

    Raises:
        BadInputError: nothing can be rendered for the target, or ``out`` has files of something else.
        SpecError: the config has mistakes.
        PaddockError: the files cannot be written.
    """
    project = find_project()
    spec = read_stack_spec(project.directory, stack)
    wanted = target or spec.target
    if wanted == "docker":
        render_docker(spec, stack, project.directory, out, as_json=as_json)
    elif spec.target == "kubernetes":
        _render_kubernetes(spec, stack, out, as_json=as_json)
    elif wanted == "kubernetes":
        raise BadInputError(
            f"stack {stack!r} is for the target {spec.target!r}, and manifests take settings of a cluster. "
            "fix: name a stack with target: kubernetes"
        )
    else:
        raise BadInputError(
            f"stack {stack!r} is for the target {spec.target!r}, of which there are no files. "
            "fix: add --target docker for a compose file, or name a stack with target: kubernetes"
        )


def _render_kubernetes(spec: FleetSpec, stack: str, out: Path, *, as_json: bool) -> None:
    plan = plan_fleet(spec, stack, spec.catalogue)
    rendering = render(plan)
    write_files({one.name: one.text for one in rendering.files}, out)
    if as_json:
        write_json(_document(rendering, stack, plan.namespace, out))
        return
    objects = sum(one.objects for one in rendering.files)
    for one in rendering.files:
        write(str(out / one.name))
    note(f"{objects} objects in {len(rendering.files)} files; apply them in the order of their names")
    if rendering.secrets:
        note(f"left out are the secrets; make them in the namespace {plan.namespace} after its file:")
        for secret in rendering.secrets:
            note(f"  {secret.reference.name}, key {secret.reference.key}: {secret.purpose}")


def _document(rendering: Rendering, stack: str, namespace: str, out: Path) -> dict[str, object]:
    return {
        "stack": stack,
        "namespace": namespace,
        "directory": str(out),
        "files": [{"name": one.name, "objects": one.objects} for one in rendering.files],
        "secrets": [_secret(one) for one in rendering.secrets],
    }


def _secret(needed: NeededSecret) -> dict[str, str]:
    return {"name": needed.reference.name, "key": needed.reference.key, "purpose": needed.purpose}
