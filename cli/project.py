"""Where things are: the project's directory, a stack's own directory, the caches outside the checkout."""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from components.local.paths import PRIVATE_DIRECTORY, stack_directory
from fleet_spec.errors import BadInputError

PROJECT_FILE = "Pulumi.yaml"


@dataclass(frozen=True)
class Project:
    """A checkout of the Pulumi project."""

    directory: Path

    @property
    def private_directory(self) -> Path:
        """What running fleets keep in the checkout, ignored by git."""
        return self.directory / PRIVATE_DIRECTORY

    def stack_directory(self, stack: str) -> Path:
        """What one stack keeps: processes' records and logs, contract, model stores."""
        return stack_directory(self.directory, stack)


def find_project(start: Path | None = None) -> Project:
    """The project that ``start`` (the current directory by default) is in, else the one this code is part of.

    Raises:
        BadInputError: neither is a Paddock project.
    """
    here = (start or Path.cwd()).resolve()
    installed = Path(__file__).resolve().parent.parent
    for directory in (here, *here.parents, installed):
        if (directory / PROJECT_FILE).is_file() and (directory / "__main__.py").is_file():
            return Project(directory)
    raise BadInputError(f"{here} is in no Paddock project: no {PROJECT_FILE}. fix: run this in a checkout of one")


def command_name() -> str:
    """What to type to run this command again: ``paddock``, or the way to it where it is not on PATH."""
    script = Path(sysconfig.get_path("scripts")) / "paddock"
    on_path = shutil.which("paddock")
    if on_path is not None and Path(on_path).resolve() == script.resolve():
        return "paddock"
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return str(script)
