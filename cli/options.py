"""Options that many commands take."""

from __future__ import annotations

from typing import Annotated

import typer

StackOption = Annotated[str, typer.Option("--stack", "-s", help="The stack: dev stands for Pulumi.dev.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="A model or alias of the fleet.")]
