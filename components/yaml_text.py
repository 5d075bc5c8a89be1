"""YAML that people read: what is rendered for ``kubectl`` and for compose."""

from __future__ import annotations

from typing import Any

import yaml


class ReadableDumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and everything in full: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never: what is there twice is written twice."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)  # pyright: ignore[reportUnknownMemberType]


ReadableDumper.add_representer(str, _text)
