"""Manifests as YAML files: the same groups that the components register, in the order for ``kubectl apply``."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from components.kubernetes.groups import fleet_groups
from components.kubernetes.manifests.secrets import NeededSecret, needed_secrets
from components.kubernetes.model import KubernetesPlan
from components.yaml_text import ReadableDumper


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


def render(plan: KubernetesPlan) -> Rendering:
    """Write a fleet's manifests, one file for each group.

    The files' names give the order, and so do the objects in each file. The same plan gives the same bytes.
    """
    files: list[RenderedFile] = []
    for index, group in enumerate(fleet_groups(plan)):
        documents = yaml.dump_all(
            group.manifests, Dumper=ReadableDumper, sort_keys=False, width=120, explicit_start=True, allow_unicode=True
        )
        files.append(RenderedFile(f"{index:03d}-{group.name}.yaml", documents, len(group.manifests)))
    return Rendering(tuple(files), tuple(needed_secrets(plan)))
