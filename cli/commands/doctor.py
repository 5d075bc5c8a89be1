"""doctor: what this machine has, what the stack needs of it, and how to get what is missing."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import asdict, dataclass

from cli.console import table, write, write_json
from cli.engine.home import PLUGIN, choose_backend
from cli.engine.locate import EngineNotFoundError, find_engine
from cli.engine.state import read_state
from cli.preflight import check_stack
from cli.project import Project, find_project
from components.docker.daemon import find_daemon
from components.local.files import cache_root
from components.local.plan import LLAMACPP_FIX, OLLAMA_FIX, gather_facts
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import PaddockError, SpecError

MINIMUM_FREE_GIB = 2
_ONLY_KUBERNETES = "only for Kubernetes stacks"
_ENGINE_FIX = "`paddock up` gets one: by the SDK's installer, or built with Go; or install Pulumi yourself"


class NotReadyError(PaddockError):
    """The machine lacks something that the stack needs."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str
    """``ok``, ``missing`` or ``absent``: needed and not there, or not there and not needed by this stack."""
    detail: str
    fix: str = ""


def run(stack: str, *, as_json: bool) -> None:
    """Print what was found; raise where the stack cannot come up on this machine."""
    project = find_project()
    findings = [*_machine(project), *_engines(), *_stack(project, stack)]
    ready = all(finding.state != "missing" for finding in findings)
    if as_json:
        write_json({"stack": stack, "ready": ready, "findings": [asdict(finding) for finding in findings]})
        if not ready:
            raise SystemExit(NotReadyError.exit_code)
        return
    table(["what", "state", "detail"], [[f.what, f.state, f.detail] for f in findings])
    for finding in findings:
        if finding.state == "missing":
            write(f"{finding.what}: {finding.fix}")
    if not ready:
        raise NotReadyError(f"stack {stack!r} cannot come up on this machine yet")


def _machine(project: Project) -> list[Finding]:
    findings = [Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")]
    try:
        engine = find_engine(project, install=False)
        findings.append(Finding("pulumi engine", "ok", f"{engine.version}, {engine.origin}: {engine.binary}"))
    except EngineNotFoundError:
        findings.append(Finding("pulumi engine", "absent", "none yet", _ENGINE_FIX))
    go = shutil.which("go")
    findings.append(Finding("go", "ok" if go else "absent", go or "only needed to build the engine here"))
    cache = cache_root()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    enough = free_gib >= MINIMUM_FREE_GIB
    findings.append(
        Finding("disk", "ok" if enough else "missing", f"{free_gib:.0f} GiB free for {cache}", "make room there")
    )
    return findings


def _engines() -> list[Finding]:
    facts = gather_facts(load_catalogue())
    ollama = str(facts.ollama_binary) if facts.ollama_binary else "no `ollama` on PATH"
    return [
        Finding("llama.cpp", "ok" if facts.llamacpp_installed else "absent", "in this environment", LLAMACPP_FIX),
        Finding("ollama", "ok" if facts.ollama_binary else "absent", ollama, OLLAMA_FIX),
        Finding("weights", "ok" if facts.weight_modules else "absent", ", ".join(sorted(facts.weight_modules))),
        _docker(),
        Finding("kubectl", "ok" if shutil.which("kubectl") else "absent", shutil.which("kubectl") or _ONLY_KUBERNETES),
    ]


def _docker() -> Finding:
    """Whether a Docker daemon answers; what a stack needs of it is found with the stack."""
    try:
        daemon = find_daemon(None)
        if daemon is None:
            return Finding("docker", "ok", "over SSH, which is not looked into from here")
        with daemon:
            info = daemon.info()
    except PaddockError as error:
        return Finding("docker", "absent", f"only for Docker stacks: {error}")
    memory_gib = int(info.get("MemTotal") or 0) / 2**30
    has = f"{info.get('ServerVersion')}, {info.get('NCPU')} CPUs, {memory_gib:.0f} GiB of memory at {daemon.host}"
    return Finding("docker", "ok", has)


def _stack(project: Project, stack: str) -> list[Finding]:
    findings: list[Finding] = []
    try:
        spec = check_stack(project, stack)
        findings.append(Finding(f"stack {stack}", "ok", f"{len(spec.models)} models on the {spec.target} target"))
    except SpecError as error:
        findings += [Finding(p.key, "missing", p.message, p.fix) for p in error.problems]
    backend = choose_backend(project, stack)
    try:
        state = read_state(backend, stack)
        held = f"{state.resources} resources" if state is not None else "nothing yet"
        findings.append(Finding("state", "ok", f"{held} in {backend.url or 'the backend you are logged in to'}"))
    except PaddockError as error:
        findings.append(Finding("state", "missing", "cannot be read", str(error)))
    findings.append(Finding(PLUGIN, "ok", "in this environment") if _plugin() else _no_plugin())
    return findings


def _plugin() -> bool:
    import sysconfig
    from pathlib import Path

    return (Path(sysconfig.get_path("scripts")) / PLUGIN).exists()


def _no_plugin() -> Finding:
    return Finding(PLUGIN, "missing", f"not in {sys.prefix}", "make setup")
