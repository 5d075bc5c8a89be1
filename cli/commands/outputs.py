"""outputs: the contract, from the state alone, so that it answers at once."""

from __future__ import annotations

from cli.console import write_json
from cli.contract import read_outputs
from cli.project import find_project


def run(stack: str, *, as_json: bool, everything: bool) -> None:
    """Print the contract, or every output. The contract is JSON with and without ``--json``."""
    del as_json
    outputs = read_outputs(find_project(), stack)
    write_json(outputs if everything else outputs["fleet"])
