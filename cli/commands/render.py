"""render: the fleet's manifests as files, from the stack's config alone."""

from __future__ import annotations

from pathlib import Path

from cli.console import note, write, write_json
from cli.project import find_project
from components.kubernetes.plan import plan_fleet
from components.kubernetes.rendering import NeededSecret, Rendering, render
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import read_stack_file

RENDERED_TARGETS = ("kubernetes",)


def run(stack: str, out: Path, *, as_json: bool) -> None:
    """Write a stack's manifests below ``out``.

    Raises:
        BadInputError: the stack is for a target that is not rendered, or ``out`` has files of something else.
        SpecError: the config has mistakes.
        PaddockError: the files cannot be written.
    """
    file = read_stack_file(find_project().directory, stack)
    spec = load_spec(file.raw, source=file.path.name, secret_keys=file.secret_keys)
    if spec.target not in RENDERED_TARGETS:
        raise BadInputError(
            f"stack {stack!r} is for the target {spec.target!r}, of which there are no manifests. "
            f"fix: name a stack with target: {' or '.join(RENDERED_TARGETS)}"
        )
    plan = plan_fleet(spec, stack, load_catalogue())
    rendering = render(plan)
    _write(rendering, out)
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


def _write(rendering: Rendering, out: Path) -> None:
    names = {one.name for one in rendering.files}
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A file of an older rendering would be applied with the others.
        strangers = sorted(path.name for path in out.iterdir() if path.name not in names)
        if strangers:
            raise BadInputError(
                f"{out} has files that are not of this rendering: {', '.join(strangers[:5])}. "
                "fix: name an empty directory with --out"
            )
        for one in rendering.files:
            (out / one.name).write_text(one.text, encoding="utf-8")
    except NotADirectoryError as error:
        raise BadInputError(f"{out} is no directory. fix: name another with --out") from error
    except FileExistsError as error:
        raise BadInputError(f"{out} is a file. fix: name a directory with --out") from error
    except OSError as error:
        raise PaddockError(f"cannot write to {out}: {error.strerror}") from error


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
