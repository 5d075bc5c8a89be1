"""Creations that an engine was cut off in, cleared once what they were to make is there."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, cast

from pulumi.automation import LocalWorkspace

from cli.engine.command import EngineCommand
from cli.project import Project

_FILE = "state-to-settle.json"


def settle_creations(
    command: EngineCommand, workspace: LocalWorkspace, project: Project, stack: str, made: Collection[str]
) -> None:
    """Take pending creations out of a stack's state, where the resources are in it by now.

    The engine keeps them for ever, and warns of them each time: it asks a person to clear them in a dialogue. Secrets
    stay encrypted in the file that goes back and forth; the Automation API's own export would write them plainly.

    Args:
        command: The engine's command line.
        workspace: Where the stack is.
        project: The checkout.
        stack: The stack's name.
        made: The resources in the state.
    """
    path = project.stack_directory(stack) / _FILE
    where = ("--stack", stack, "--file", str(path))
    try:
        command.run(["stack", "export", *where], workspace.work_dir, workspace.env_vars)
        document = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        deployment = cast("dict[str, Any]", document["deployment"])
        pending = cast("list[dict[str, Any]]", deployment.get("pending_operations") or [])
        deployment["pending_operations"] = [
            one for one in pending if one["type"] != "creating" or one["resource"]["urn"] not in made
        ]
        path.write_text(json.dumps(document), encoding="utf-8")
        command.run(["stack", "import", *where], workspace.work_dir, workspace.env_vars)
    finally:
        path.unlink(missing_ok=True)
