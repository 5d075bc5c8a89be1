"""open-webui as a package of Python, in an environment of its own that all checkouts of this user share.

It is never there by default: with PyTorch and what else it brings it is larger than most models. `paddock up` says so
and asks before :func:`install` is called. Nothing of it is imported here; it has its own Python and its own
dependencies, which would not fit beside Paddock's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from components.local.files import atomic_write, cache_root, file_lock
from fleet_spec.errors import PaddockError, Problem

NAME = "web-ui"
"""What its process is called."""
VERSION = "0.12.4"
SIZE_BYTES = 7_300_000_000
"""What the environment takes on the disk: `du` of a fresh one on Linux, where PyTorch brings CUDA's libraries."""
NEEDED_BYTES = 8_500_000_000
"""What has to be free before it is installed: the environment, and room to unpack the last and largest packages."""
UV_FIX = "pip install uv"

_PACKAGE = f"open-webui=={VERSION}"
_COMPLETE = "paddock-complete"
"""A file that is written last: an environment without it was never finished."""
_OLDEST_PYTHON, _TOO_NEW_PYTHON = (3, 11), (3, 13)
"""Versions of Python that this version of open-webui takes: from the first, and below the second."""
_OTHER_PYTHON = "3.12"
_LINES_IN_ERROR = 15


class WebUiInstallError(PaddockError):
    """open-webui could not be installed; the end of what the installer said is in the text."""


def environment_directory() -> Path:
    """Where the environment of this version is, or would be."""
    return cache_root() / f"open-webui-{VERSION}"


def environment_python() -> Path:
    """The environment's Python."""
    return environment_directory() / "bin" / "python"


def is_installed() -> bool:
    """Whether the environment is there, and whole."""
    return (environment_directory() / _COMPLETE).is_file() and environment_python().exists()


def free_bytes(directory: Path) -> int:
    """What is free on the disk that ``directory`` is on, or would be on."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return shutil.disk_usage(existing).free


def gigabytes(size_bytes: int) -> str:
    """A size for a person to read: ``7.3 GB``."""
    return f"{size_bytes / 1e9:.1f} GB"


def installation_problems() -> list[Problem]:
    """What keeps open-webui from being installed; empty where nothing does, or it is there."""
    if is_installed():
        return []
    problems: list[Problem] = []
    directory = environment_directory()
    free = free_bytes(directory)
    if free < NEEDED_BYTES:
        problems.append(
            Problem(
                "webUi.enabled",
                f"open-webui {VERSION} needs {gigabytes(NEEDED_BYTES)} to be installed in {directory}; "
                f"{gigabytes(free)} are free",
                "make room there, name a folder on another disk in PADDOCK_CACHE, or write false",
            )
        )
    if find_uv() is None:
        problems.append(Problem("webUi.enabled", f"there is no `uv` to install open-webui {VERSION} with", UV_FIX))
    return problems


def find_uv() -> str | None:
    """The program that installs it: the one beside this Python, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def install(progress: Callable[[str], None]) -> Path:
    """Make the environment, unless it is there, and return its Python.

    Args:
        progress: Told what the installer is at.

    Raises:
        WebUiInstallError: there is no uv, or it failed. Nothing half made stays behind.
    """
    directory = environment_directory()
    lock = directory.with_name(f"{directory.name}.lock")
    with file_lock(lock, lambda waited: progress(f"{waited:.0f} s: another `up` is installing it")):
        if not is_installed():
            _make(directory, progress)
    return environment_python()


def _make(directory: Path, progress: Callable[[str], None]) -> None:
    uv = find_uv()
    if uv is None:
        raise WebUiInstallError(f"there is no `uv` to install open-webui {VERSION} with. fix: {UV_FIX}")
    try:
        # This Python where it will do: uv has to fetch no other one then.
        fits = _OLDEST_PYTHON <= sys.version_info[:2] < _TOO_NEW_PYTHON
        python = sys.executable if fits else _OTHER_PYTHON
        _run([uv, "venv", "--clear", "--no-project", "--python", python, str(directory)], progress)
        _run([uv, "pip", "install", "--python", str(environment_python()), _PACKAGE], progress)
        atomic_write(directory / _COMPLETE, f"{_PACKAGE}\n".encode())
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _run(command: list[str], progress: Callable[[str], None]) -> None:
    last: deque[str] = deque(maxlen=_LINES_IN_ERROR)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        assert process.stdout is not None, "it is a pipe"  # noqa: S101
        try:
            for line in process.stdout:
                if line.strip():
                    last.append(line.rstrip())
                    progress(line.strip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        said = "\n".join(f"  {line}" for line in last) or "  (nothing)"
        raise WebUiInstallError(
            f"open-webui {VERSION} could not be installed: `uv {command[1]}` ended with exit code {process.returncode} "
            f"and said:\n{said}"
        )
