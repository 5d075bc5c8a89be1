"""A stack's config, read and checked, with everything that it names fetched."""

from __future__ import annotations

from pathlib import Path

from components.catalogues import fetch_catalogues
from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.spec import FleetSpec
from fleet_spec.stack_file import StackFile, read_stack_file


def read_stack_spec(directory: Path, stack: str) -> FleetSpec:
    """Read and check the config of a stack.

    Args:
        directory: The project's.
        stack: The stack's name.

    Raises:
        BadInputError: there is no such stack or its file cannot be read.
        SpecError: with every mistake in it.
    """
    return spec_of(read_stack_file(directory, stack))


def spec_of(file: StackFile) -> FleetSpec:
    """Check the config that a file holds.

    Raises:
        SpecError: with every mistake in it.
    """
    directory = file.path.parent
    try:
        fetch_catalogues(file.raw, directory)
    except SpecError as error:
        raise SpecError(error.problems, file.path.name) from None
    return load_spec(file.raw, source=file.path.name, secret_keys=file.secret_keys, directory=directory)
