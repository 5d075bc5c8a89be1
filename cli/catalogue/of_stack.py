"""The catalogue that a stack knows, whatever else its config says."""

from __future__ import annotations

from components.catalogues import fetch_catalogues
from fleet_spec.catalogue import Catalogue, load_catalogue
from fleet_spec.stack_catalogue import stack_catalogue
from fleet_spec.stack_file import read_stack_file, stack_file_path

_USUAL_STACK = "dev"
"""Which stack commands mean where nobody names one."""


def catalogue_of(stack: str) -> Catalogue:
    """The shipped catalogue with a stack's own laid over it; the shipped one without any stack.

    Raises:
        BadInputError: there is no such stack, or its file cannot be read.
        SpecError: its catalogues cannot be fetched or used.
    """
    from cli.project import find_project

    directory = find_project().directory
    if stack == _USUAL_STACK and not stack_file_path(directory, stack).is_file():
        return load_catalogue()
    raw = read_stack_file(directory, stack).raw
    fetch_catalogues(raw, directory)
    return stack_catalogue(raw, directory)
