"""outputs: the contract, from the state alone, so that it answers at once."""

from __future__ import annotations

from cli.console import write_json
from cli.contract import read_outputs, read_secret_outputs
from cli.project import find_project


def run(stack: str, *, as_json: bool, everything: bool, show_secrets: bool) -> None:
    """Print the contract, or every output. The contract is JSON with and without ``--json``.

    Args:
        stack: The stack's name.
        as_json: Changes nothing.
        everything: Print every output.
        show_secrets: Print every output, secret ones as they are.

    Raises:
        BadInputError: there is no such stack, or it is not up.
    """
    del as_json
    project = find_project()
    outputs = read_secret_outputs(project, stack) if show_secrets else read_outputs(project, stack)
    write_json(outputs if everything or show_secrets else outputs["fleet"])
