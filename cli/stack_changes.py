"""Single changes of a stack's file: what each does to the text, what that must mean, and the change that takes it back.

A text that would mean anything else than it should is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from cli.stack_edit import with_copy, with_entry, with_item, with_renamed, with_scalar, without_entry, without_item
from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import PROJECT

Path = tuple[str, ...]


def section(name: str, *further: str) -> Path:
    """Where a section of the config stands in the file."""
    return ("config", f"{PROJECT}:{name}", *further)


@dataclass(frozen=True)
class Change:
    """One change: in the text, in the data that the text means, and the change that takes it back."""

    needed: Callable[[dict[str, Any]], bool]
    """Whether it is still to be made. One that was made already is left alone."""
    in_text: Callable[[str, dict[str, Any]], str]
    in_data: Callable[[dict[str, Any]], None]
    back: Callable[[dict[str, Any]], Change]
    """The change back, from the data before it was made."""


def put(path: Path, name: str, value: Any) -> Change:
    """Have an entry in a mapping, in place of the one of its name."""

    def in_text(text: str, data: dict[str, Any]) -> str:
        present = at(data, path) or {}
        if name not in present:
            return with_entry(text, path, name, value)
        if isinstance(value, str | int | float) and isinstance(present[name], str | int | float):
            return with_scalar(text, (*path, name), value)
        # The old entry goes last: a mapping that was empty in between would lose its layout.
        aside = name + "-"
        while aside in present:
            aside += "-"
        beside = with_entry(with_renamed(text, path, name, aside), path, name, value)
        return without_entry(beside, path, aside)

    def in_data(data: dict[str, Any]) -> None:
        _made(data, path)[name] = copy.deepcopy(value)

    def back(data: dict[str, Any]) -> Change:
        present = at(data, path) or {}
        return put(path, name, present[name]) if name in present else drop(path, name)

    return Change(lambda data: (at(data, path) or {}).get(name, _NOTHING) != value, in_text, in_data, back)


def drop(path: Path, name: str) -> Change:
    """Have no entry of a name in a mapping."""

    def in_data(data: dict[str, Any]) -> None:
        del _made(data, path)[name]

    return Change(
        lambda data: name in (at(data, path) or {}),
        lambda text, _: without_entry(text, path, name),
        in_data,
        lambda data: put(path, name, copy.deepcopy((at(data, path) or {}).get(name))),
    )


def rename(path: Path, name: str, new_name: str) -> Change:
    """Have an entry of a mapping under another name, in its old place."""

    def in_data(data: dict[str, Any]) -> None:
        mapping = _made(data, path)
        renamed = {new_name if key == name else key: value for key, value in mapping.items()}
        mapping.clear()
        mapping.update(renamed)

    return Change(
        lambda data: name in (at(data, path) or {}),
        lambda text, _: with_renamed(text, path, name, new_name),
        in_data,
        lambda _: rename(path, new_name, name),
    )


def copied(path: Path, name: str, new_name: str) -> Change:
    """Have an entry of a mapping a second time, under another name."""

    def in_data(data: dict[str, Any]) -> None:
        mapping = _made(data, path)
        mapping[new_name] = copy.deepcopy(mapping[name])

    return Change(
        lambda data: new_name not in (at(data, path) or {}),
        lambda text, _: with_copy(text, path, name, new_name),
        in_data,
        lambda _: drop(path, new_name),
    )


def append(path: Path, item: str) -> Change:
    """Have a word in a list."""
    return Change(
        lambda data: item not in list_at(data, path),
        lambda text, _: with_item(text, path, item),
        lambda data: list_at(data, path).append(item),
        lambda _: remove(path, item),
    )


def remove(path: Path, item: str) -> Change:
    """Have a word out of a list."""
    return Change(
        lambda data: item in list_at(data, path),
        lambda text, _: without_item(text, path, item),
        lambda data: list_at(data, path).remove(item),
        lambda _: append(path, item),
    )


def made(text: str, changes: Sequence[Change]) -> str:
    """The text with changes made that are still needed.

    Raises:
        BadInputError: the text is laid out in a way that one of them cannot be made in.
    """
    for change in changes:
        data = load(text)
        if not change.needed(data):
            continue
        text = change.in_text(text, data)
        change.in_data(data)
        if not _means(text, data):
            raise BadInputError(
                "the stack's file is laid out in a way that this command does not change. fix: write models, aliases "
                "and keys in plain block style, without anchors"
            )
    return text


def _means(text: str, data: dict[str, Any]) -> bool:
    try:
        return load(text) == data
    except yaml.YAMLError:
        return False


def load(text: str) -> dict[str, Any]:
    """What a stack's file means, as plain data."""
    loaded: object = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return cast("dict[str, Any]", loaded or {})


def at(data: Any, path: Path) -> dict[str, Any] | None:
    """The mapping at a path; None where there is none."""
    for part in path:
        data = cast("dict[str, Any]", data).get(part) if isinstance(data, dict) else None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _made(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """The mapping at a path, made where there is none."""
    for part in path:
        inner = data.get(part)
        if not isinstance(inner, dict):
            inner = data[part] = {}
        data = cast("dict[str, Any]", inner)
    return data


def list_at(data: dict[str, Any], path: Path) -> list[Any]:
    """The list at a path; an empty one where there is none."""
    found: object = (at(data, path[:-1]) or {}).get(path[-1])
    return cast("list[Any]", found) if isinstance(found, list) else []


_NOTHING = object()


def arms_of(value: object) -> dict[str, Any]:
    """The models behind an alias as a stack's file writes it: one name, or names with weights."""
    if isinstance(value, str):
        return {value: 1.0}
    return {str(name): weight for name, weight in value.items()} if isinstance(value, dict) else {}  # pyright: ignore
