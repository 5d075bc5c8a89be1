"""render --target docker: a compose file, and what lies beside it."""

from __future__ import annotations

from pathlib import Path

from cli.console import note, write, write_json
from cli.rendered_files import write_files
from components.docker.as_docker import as_docker
from components.docker.compose import render_compose
from components.docker.contract import build_contract
from components.docker.describe import describe
from components.docker.engines import TOKEN_FILE
from components.docker.plan import plan_fleet
from components.docker.platform import CONTRACT_FILE, ROUTER_KEY, SESSION_KEY
from fleet_spec.checks import Draft, find_problems
from fleet_spec.errors import SpecError
from fleet_spec.spec import FleetSpec

_BESIDE = ("secrets", ".env")
"""What a person puts beside the rendered files."""


def render_docker(spec: FleetSpec, stack: str, project: Path, out: Path, *, as_json: bool) -> None:
    """Write any stack's models as a compose file.

    Args:
        spec: The stack's config, for whatever target.
        stack: The stack's name.
        project: The project's directory.
        out: Where to write to.
        as_json: Whether to print one JSON document.

    Raises:
        SpecError: the models cannot run on a Docker host as the config has them.
        BadInputError: the directory has files of something else.
        PaddockError: the files cannot be written.
    """
    adapted = as_docker(spec)
    catalogue = spec.catalogue
    problems = find_problems(Draft.of(adapted.spec), catalogue)
    if problems:
        raise SpecError(problems, f"stack {stack!r} on the Docker target")
    plan = plan_fleet(adapted.spec, stack, catalogue, project)
    contract = build_contract(plan)
    rendering = render_compose(describe(plan), {CONTRACT_FILE: contract.to_json()})
    write_files(rendering.files, out, beside=_BESIDE)
    needed = {name: _purpose(name) for name in rendering.secrets}
    if as_json:
        write_json(
            {
                "stack": stack,
                "directory": str(out),
                "files": [{"name": name} for name in rendering.files],
                "secrets": [{"name": name, "purpose": purpose} for name, purpose in needed.items()],
                "notes": list(adapted.notes),
            }
        )
        return
    for name in rendering.files:
        write(str(out / name))
    for one in adapted.notes:
        note(one)
    note(f"left out are the secrets; write each into a file of its name in {out / 'secrets'}:")
    for name, purpose in needed.items():
        note(f"  {name}: {purpose}")
    note(f"next: docker compose --project-directory {out} up --detach --wait")


def _purpose(name: str) -> str:
    known = {
        ROUTER_KEY: "what clients show to the router: `openssl rand -hex 32`",
        SESSION_KEY: "signs the web UI's sessions: `openssl rand -hex 32`",
        TOKEN_FILE: "fetches gated models from Hugging Face",
    }
    return known.get(name, f"what the router shows to the {name.removeprefix('tier-')} tier")
