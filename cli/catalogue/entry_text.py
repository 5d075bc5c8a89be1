"""An entry of a catalogue as YAML, the way the shipped catalogue writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from cli.catalogue.drafts import Draft
from components.local.files import atomic_write
from fleet_spec.catalogue_entry import Licence
from fleet_spec.catalogue_layers import Layer, layered
from fleet_spec.errors import BadInputError, SpecError

_UNKNOWN_LICENCE = {"name": "Unknown", "commercialUse": "conditional", "note": "Nobody has said yet."}


def entry_text(draft: Draft, licences: Mapping[str, Licence]) -> str:
    """A catalogue of the one entry, and of its licence where nobody has described that.

    Args:
        draft: The entry.
        licences: Those that are described already.
    """
    return _dumped(entry_document(draft, licences))


def entry_document(draft: Draft, licences: Mapping[str, Licence]) -> dict[str, Any]:
    """The same as plain JSON data."""
    document: dict[str, Any] = {}
    if draft.licence not in licences:
        document["licences"] = {draft.licence: _UNKNOWN_LICENCE}
    document["models"] = [_entry(draft)]
    return document


def add_to_file(path: Path, draft: Draft, text: str) -> None:
    """Add the entry to a catalogue, which is made where there is none. What stands there stays as it is, word for word.

    Raises:
        BadInputError: the file cannot be read, has such an entry, or would not be a catalogue with it at its end.
    """
    try:
        if path.exists() and not path.is_file():
            raise BadInputError(f"{path} is no file. fix: name a catalogue")
        before = path.read_text("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read: {error}. fix: name a catalogue") from error
    after = _appended(path, before, draft) if before.strip() else text
    try:
        layered([Layer(str(path), after)])
    except SpecError as error:
        raise BadInputError(f"{path} would not be a catalogue with it:\n{error}") from error
    atomic_write(path, after.encode(), mode=0o644)


def _appended(path: Path, before: str, draft: Draft) -> str:
    """The file's text with the entry at the end of its models, which must be its last section and written in lines."""
    try:
        document: object = yaml.safe_load(before)
    except yaml.YAMLError as error:
        raise BadInputError(f"{path} is no YAML: {' '.join(str(error).split())}. fix: correct it") from error
    known = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    keys = list(known)
    listed = cast("list[Any]", known["models"]) if isinstance(known.get("models"), list) else []
    if draft.name in [cast("dict[str, Any]", one).get("name") for one in listed if isinstance(one, dict)]:
        raise BadInputError(f"{path} has {draft.name} already. fix: give the entry another name with --name")
    if not keys or keys[-1] != "models":
        raise BadInputError(f"{path} does not end with its models. fix: write 'models:' and its entries last")
    lines = [line for line in before.splitlines() if line.lstrip().startswith("- name:")]
    indent = len(lines[-1]) - len(lines[-1].lstrip()) if lines else 2
    described: list[str] = _dumped([_entry(draft)]).splitlines()
    entry = "\n".join(" " * indent + line for line in described)
    text = before.rstrip("\n") + "\n" + entry + "\n"
    if draft.licence == "unknown" and "unknown" not in (known.get("licences") or {}):
        raise BadInputError(f"nobody knows the licence of {draft.name}. fix: give one with --licence")
    return text


def _entry(draft: Draft) -> dict[str, Any]:
    parameters: dict[str, int] = {"total": draft.total_parameters}
    if draft.active_parameters is not None:
        parameters["active"] = draft.active_parameters
    return {
        "name": draft.name,
        "family": draft.family,
        "parameters": parameters,
        "architecture": draft.architecture.model_dump(mode="json", exclude_defaults=True),
        "licence": draft.licence,
        "capabilities": list(draft.capabilities),
        "useCases": ["general"],
        "sources": dict(draft.sources),
    }


def _dumped(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=118, allow_unicode=True)
