"""Settings into a stack's file, whose comments and order stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.stack_edit import replace_file, with_entry, without_entry
from cli.tuning.settings import PARALLEL, Candidate, setting_names
from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import PROJECT, read_stack_file


def write_settings(directory: Path, stack: str, model: str, start: Candidate, best: Candidate) -> str:
    """Put a candidate into a stack's file, and give the file's name.

    Args:
        directory: The project's.
        stack: The stack's name.
        model: The model's name in the config.
        start: What the file says now.
        best: What it is to say.

    Raises:
        BadInputError: the file is laid out in a way that cannot be changed safely.
    """
    file = read_stack_file(directory, stack)
    here: Any = file.raw["models"][model]
    if isinstance(here, str):
        raise BadInputError(
            f"{file.path.name} writes {model} in short, as {here!r}. fix: write `model: {here}` on a line of its own "
            f"below {model}:, and run this again"
        )
    text = file.path.read_text(encoding="utf-8")
    place = ("config", f"{PROJECT}:models", model)
    settings = best.document()
    parallel = settings.pop(PARALLEL)
    changed = set(setting_names(start, best))
    for name, value, concerned in (
        (PARALLEL, parallel, PARALLEL in changed),
        ("serving", settings, bool(changed - {PARALLEL})),
    ):
        if concerned:
            text = with_entry(without_entry(text, place, name) if name in here else text, place, name, value)
    replace_file(file.path, text)
    return file.path.name
