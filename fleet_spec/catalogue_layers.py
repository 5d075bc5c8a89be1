"""Catalogues laid over each other: what a later one says of a model takes the place of what an earlier one said.

A layer has the layout of the shipped catalogue. An entry whose name is known is merged into it field by field, at every
depth, and a list takes the place of a list; with ``replace: true`` the whole entry takes the place of the known one. An
entry whose name is new has to be whole.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import yaml
from pydantic import ValidationError

from fleet_spec.catalogue import SHIPPED_PATH, Catalogue
from fleet_spec.errors import Problem, SpecError

_SHIPPED: Final = "the shipped catalogue"
_WHOLE: Final = "the stack's catalogue"
_SECTIONS: Final = ("licences", "models")
_REPLACE: Final = "replace"


@dataclass(frozen=True)
class Layer:
    """A catalogue of somebody's own."""

    source: str
    """What an error calls it: its file or address."""
    text: str


def layered(layers: Sequence[Layer]) -> Catalogue:
    """The shipped catalogue with others laid over it, the last on top.

    Raises:
        SpecError: every mistake in them, each with its file and key.
    """
    merging = _Merging(copy.deepcopy(_shipped()))
    for layer in layers:
        merging.add(layer)
    if merging.problems:
        raise SpecError(merging.problems, _WHOLE)
    try:
        return Catalogue.model_validate({"licences": merging.licences, "models": merging.models})
    except ValidationError as error:
        found = [(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False)]
        # Of a list with a wrong item it is also said that it is too short, which is the same mistake.
        within = {place[:end] for place, _ in found for end in range(len(place))}
        problems = [merging.explain(place, message) for place, message in found if place not in within]
        raise SpecError(problems, _WHOLE) from error


@cache
def _shipped() -> dict[str, Any]:
    return _load(SHIPPED_PATH.read_text("utf-8"))


def _load(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


class _Merging:
    """What has been laid together so far, and which layer had the last word on what."""

    def __init__(self, shipped: dict[str, Any]) -> None:
        self.licences: dict[str, Any] = shipped["licences"]
        self.models: list[dict[str, Any]] = shipped["models"]
        self.problems: list[Problem] = []
        self._last_word: dict[str, str] = {}
        self._top = _SHIPPED

    def add(self, layer: Layer) -> None:
        """Lay a catalogue on top, or note what is wrong with it."""
        self._top = layer.source
        try:
            read: object = _load(layer.text)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            where = str(error).replace("\n", " ")
            self._wrong(layer, "", f"is not YAML: {where}", "correct it")
            return
        if not isinstance(read, dict):
            self._wrong(layer, "", "is no mapping", "write models: and below it a list of entries")
            return
        document = cast("dict[object, Any]", read)
        for key in document.keys() - set(_SECTIONS):
            self._wrong(layer, str(key), "is a key that Paddock does not know", f"write {' or '.join(_SECTIONS)}")
        licences: object = document.get("licences") or {}
        if isinstance(licences, dict):
            for key, said in cast("dict[object, Any]", licences).items():
                self._last_word[f"licences.{key}"] = layer.source
                self.licences[str(key)] = _merged(self.licences.get(str(key)), said)
        else:
            self._wrong(layer, "licences", "is no mapping", "write licences by their keys")
        models: object = document.get("models") or []
        if not isinstance(models, list):
            self._wrong(layer, "models", "is no list", "write each entry as - name: family:size")
            return
        for number, said in enumerate(cast("list[object]", models)):
            self._model(layer, number, said)

    def _model(self, layer: Layer, number: int, said: object) -> None:
        name = cast("dict[str, Any]", said).get("name") if isinstance(said, dict) else None
        if not isinstance(name, str):
            self._wrong(layer, f"models.{number}.name", "is missing", "write the model's name, such as llama3.1:8b")
            return
        entry = dict(cast("dict[str, Any]", said))
        whole = entry.pop(_REPLACE, False)
        if not isinstance(whole, bool):
            self._wrong(layer, f"models.{name}.{_REPLACE}", "is neither true nor false", "write true or false")
            return
        position = next((index for index, known in enumerate(self.models) if name in _names(known)), None)
        if position is None:
            self.models.append(entry)
        elif whole:
            self.models[position] = entry
        else:
            known = self.models[position]
            # An alias of it says which model is meant, and does not rename it.
            self.models[position] = _merged(known, entry | {"name": known["name"]})
        self._last_word[f"models.{name}"] = layer.source
        if position is not None:
            self._last_word[f"models.{self.models[position]['name']}"] = layer.source

    def _wrong(self, layer: Layer, key: str, message: str, fix: str) -> None:
        self.problems.append(Problem(f"{layer.source}: {key}" if key else layer.source, message, fix))

    def explain(self, place: Sequence[int | str], message: str) -> Problem:
        """A mistake of the whole, by the layer and key that it comes from."""
        key = ".".join(str(part) for part in place)
        owner = self._top
        if len(place) > 1 and place[0] == "models" and isinstance(place[1], int):
            name = str(self.models[place[1]].get("name"))
            owner = self._last_word.get(f"models.{name}", _SHIPPED)
            key = ".".join(["models", name, *(str(part) for part in place[2:])])
        elif len(place) > 1:
            owner = self._last_word.get(f"{place[0]}.{place[1]}", _SHIPPED)
        what = message.removeprefix("Value error, ")
        fix = "remove it, or correct its name" if what.startswith("Extra inputs") else "correct it"
        return Problem(f"{owner}: {key}" if key else owner, what[0].lower() + what[1:], fix)


def _names(entry: Mapping[str, Any]) -> Iterator[object]:
    yield entry.get("name")
    aliases: object = entry.get("aliases")
    if isinstance(aliases, list):
        yield from cast("list[object]", aliases)


def _merged(known: Any, said: Any) -> Any:
    """A value with another laid over it: mappings key by key, anything else as a whole."""
    if not isinstance(known, dict) or not isinstance(said, dict):
        return said
    below, above = cast("dict[str, Any]", known), cast("dict[str, Any]", said)
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}
