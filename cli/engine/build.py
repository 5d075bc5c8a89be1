"""Building the Pulumi engine from the Go module that tools/pulumi pins.

For machines that reach a Go module proxy but not Pulumi's download site. The build goes to a cache
outside the checkout, keyed by version, and is made once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from cli.console import Step
from cli.project import Project
from components.local.files import cache_root
from fleet_spec.errors import PaddockError

_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_PINNED = re.compile(r"^\s*github\.com/pulumi/pulumi/pkg/v3 v(\S+)", re.MULTILINE)


class GoBuildError(PaddockError):
    """The engine could not be built; the text says at which step and why."""


def built_version(project: Project) -> str | None:
    """The version that the project pins, without a leading v; None where it has no tools/pulumi."""
    try:
        text = (_module(project) / "go.mod").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    match = _PINNED.search(text)
    return match[1] if match else None


def built_engine(project: Project) -> Path | None:
    """The root of the engine that an earlier run built, or None."""
    version = built_version(project)
    root = _root(version) if version is not None else None
    return root if root is not None and (root / "bin" / "pulumi").is_file() else None


def build_engine(project: Project) -> Path:
    """Build the pinned engine and return its root, the directory that holds ``bin/pulumi``.

    Raises:
        GoBuildError: there is no Go, no pinned module, or the build failed.
    """
    version = built_version(project)
    if version is None:
        raise GoBuildError(f"{_module(project)} pins no version of Pulumi")
    go = shutil.which("go")
    if go is None:
        raise GoBuildError("there is no `go` on PATH")
    root = _root(version)
    target = root / "bin" / "pulumi"
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"pulumi.{os.getpid()}")
    # Without its version compiled in, the engine prints none, and the Automation API refuses it.
    flags = f"-s -w -X {_VERSION_VARIABLE}=v{version}"
    command = [go, "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(unfinished), _PACKAGE]
    try:
        with Step(f"building Pulumi {version} with Go, once; 4 to 6 minutes on two cores") as step:
            tail = _run(command, _module(project), step)
            step.finish(f"built Pulumi {version}")
        if not unfinished.is_file():
            raise GoBuildError(f"`go build` failed: {tail}")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return root


def _run(command: list[str], directory: Path, step: Step) -> str:
    """Run the build, counting what it has compiled; returns the last line it printed."""
    compiled, tail = 0, ""
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    with process:
        assert process.stderr is not None  # noqa: S101
        for line in process.stderr:
            tail = line.strip() or tail
            if tail.startswith("go: downloading"):
                step.update(tail.removeprefix("go: "))
            else:
                compiled += 1
                step.update(f"{compiled} packages compiled")
    return tail


def _module(project: Project) -> Path:
    return project.directory / "tools" / "pulumi"


def _root(version: str) -> Path:
    return cache_root() / "engine" / f"pulumi-{version}"
