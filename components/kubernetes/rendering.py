"""Manifests as YAML files: the same groups that the components register, in the order for ``kubectl apply``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.secrets import NeededSecret, needed_secrets
from components.kubernetes.model import KubernetesPlan


@dataclass(frozen=True)
class RenderedFile:
    """One file: its name, and how many objects are in it."""

    name: str
    text: str
    objects: int


@dataclass(frozen=True)
class Rendering:
    """A whole fleet as files, and the Secrets that are not in them."""

    files: tuple[RenderedFile, ...]
    secrets: tuple[NeededSecret, ...]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and everything in full: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _text)


def render(plan: KubernetesPlan) -> Rendering:
    """Write a fleet's manifests, one file for each group.

    The files' names give the order, and so do the objects in each file. The same plan gives the same bytes.
    """
    files: list[RenderedFile] = []
    for index, group in enumerate(fleet_groups(plan)):
        documents = yaml.dump_all(
            group.manifests, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True, allow_unicode=True
        )
        files.append(RenderedFile(f"{index:03d}-{group.name}.yaml", documents, len(group.manifests)))
    return Rendering(tuple(files), tuple(needed_secrets(plan)))
