"""engine: where the Pulumi engine is, got first where there is none."""

from __future__ import annotations

from cli.console import note, write, write_json
from cli.engine.locate import find_engine
from cli.project import find_project


def run(*, as_json: bool) -> None:
    """Print the path of the engine."""
    engine = find_engine(find_project())
    if as_json:
        write_json({"path": str(engine.binary), "version": engine.version, "origin": engine.origin})
        return
    note(f"Pulumi {engine.version}, {engine.origin}")
    write(str(engine.binary))
