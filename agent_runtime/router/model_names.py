"""How the name of a model may be written."""

from __future__ import annotations

from typing import Final

_LATEST: Final = ":latest"


def forms(name: str) -> tuple[str, str]:
    """The ways to write a name: as in Ollama, one without a tag and the same with ``:latest`` are one."""
    return name, name.removesuffix(_LATEST) if name.endswith(_LATEST) else name + _LATEST
