"""Finding a Pulumi engine: on PATH, by the SDK's own installer, or built from the pinned Go module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.console import Step, note
from cli.engine.build import GoBuildError, build_engine, built_engine, built_version
from cli.project import Project
from components.local.files import cache_root
from fleet_spec.errors import PaddockError

MINIMUM_VERSION = (3, 200, 0)
"""The oldest engine that is fit: plugins by path in Pulumi.yaml and ``--config-file`` on every operation."""
INSTALL_TIMEOUT_SECONDS = 300

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class EngineNotFoundError(PaddockError):
    """No Pulumi engine could be had; the text names the three ways to get one."""


@dataclass(frozen=True)
class Engine:
    """A Pulumi engine on this machine."""

    binary: Path
    version: str
    """Without a leading v, such as ``3.259.0``."""
    origin: str
    """How it was found, for a person: ``on PATH``."""

    @property
    def root(self) -> Path:
        """The directory that holds ``bin/pulumi``, as the Automation API wants it named."""
        return self.binary.parent.parent


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version in what ``pulumi version`` prints, or None where there is none."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def is_fit(version: tuple[int, int, int] | None) -> bool:
    """Whether Paddock can work with an engine of this version."""
    return version is not None and version >= MINIMUM_VERSION and version[0] == MINIMUM_VERSION[0]


def find_engine(project: Project, *, install: bool = True) -> Engine:
    """Find an engine, or get one.

    The order: ``pulumi`` on PATH of a fit version; one that the SDK's own installer brings; one built
    from the pinned Go module. What an earlier run installed or built is used again.

    Args:
        project: Its ``tools/pulumi`` pins the Go module.
        install: False only looks.

    Raises:
        EngineNotFoundError: there is none and none could be got.
    """
    tried: list[str] = []
    on_path = shutil.which("pulumi")
    if on_path is not None:
        version = engine_version(Path(on_path))
        if is_fit(version) and version is not None:
            return Engine(Path(on_path).resolve(), _text(version), "on PATH")
        wanted = _text(MINIMUM_VERSION)
        found = _text(version) if version else "a version that cannot be read"
        tried.append(f"pulumi on PATH: {on_path} is {found}; {wanted} or newer 3.x is needed")
    else:
        tried.append("pulumi on PATH: there is none")
    for root, origin in _kept_engines(project):
        version = engine_version(root / "bin" / "pulumi")
        if is_fit(version) and version is not None:
            return Engine(root / "bin" / "pulumi", _text(version), origin)
    if install:
        engine = _install(tried) or _build(project, tried)
        if engine is not None:
            return engine
    raise EngineNotFoundError(_no_engine(project, tried))


def engine_version(binary: Path) -> tuple[int, int, int] | None:
    """Ask a binary for its version; None where it cannot tell."""
    if not binary.is_file():
        return None
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        asked = subprocess.run(
            [str(binary), "version"], capture_output=True, text=True, timeout=30, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(asked.stdout) if asked.returncode == 0 else None


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)


def sdk_version() -> str:
    """The version of the Pulumi SDK in this environment, which its installer would install of the engine."""
    from importlib.metadata import version

    return version("pulumi")


def _installed_root() -> Path:
    return cache_root() / "engine" / f"pulumi-{sdk_version()}"


def _kept_engines(project: Project) -> list[tuple[Path, str]]:
    kept = [(_installed_root(), "installed by the SDK")]
    built = built_engine(project)
    return [*kept, (built, "built from its Go module")] if built is not None else kept


def _install(tried: list[str]) -> Engine | None:
    root, version = _installed_root(), sdk_version()
    script = (
        "import sys; from pulumi.automation import PulumiCommand; "
        "import semver; PulumiCommand.install(root=sys.argv[1], version=semver.VersionInfo.parse(sys.argv[2]))"
    )
    with Step(f"downloading Pulumi {version} with the SDK's own installer") as step:
        try:
            done = subprocess.run(
                [sys.executable, "-c", script, str(root), version],
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_SECONDS,
                check=False,
            )
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed, reason = True, f"not done after {INSTALL_TIMEOUT_SECONDS} s"
        if failed:
            shutil.rmtree(root, ignore_errors=True)
            step.finish(f"the SDK's installer could not bring Pulumi {version}: {reason}")
            tried.append(f"the SDK's installer: {reason}")
            return None
    return Engine(root / "bin" / "pulumi", version, "installed by the SDK")


def _build(project: Project, tried: list[str]) -> Engine | None:
    try:
        root = build_engine(project)
    except GoBuildError as error:
        note(str(error))
        tried.append(f"a build of the Go module: {error}")
        return None
    return Engine(root / "bin" / "pulumi", built_version(project) or "", "built from its Go module")


def _no_engine(project: Project, tried: list[str]) -> str:
    lines = ["no Pulumi engine was found, and none could be got:", *(f"  - {line}" for line in tried)]
    lines += [
        "fix, any one of these:",
        "  1. install Pulumi 3.x so that `pulumi` is on PATH: https://www.pulumi.com/docs/install/",
        "  2. let the SDK's installer reach https://get.pulumi.com, and run this again",
        f"  3. install Go 1.25 or newer, so that {project.directory / 'tools' / 'pulumi'} can be built",
    ]
    return "\n".join(lines)
