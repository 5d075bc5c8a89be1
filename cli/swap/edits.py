"""What a swap changes in a stack's file, stage by stage, and the way back. Comments and layout stay."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from cli.stack_changes import Change, append, arms_of, at, copied, drop, list_at, load, made, put, rename, section
from cli.swap.names import Turned, adapters_of

Stage = Literal["original", "beside", "turned", "final"]
STAGES: tuple[Stage, ...] = ("original", "beside", "turned", "final")


@dataclass(frozen=True)
class Edits:
    """All changes of one swap, from the file as it was before."""

    original: str
    old: str
    new: str
    candidate: str
    entry: dict[str, Any]
    """What the file is to say of the new model."""
    adapters: tuple[Turned, ...] = ()
    """Adapters that go over to the new model, each under a name of its own while both are up."""

    @cached_property
    def changes(self) -> dict[Stage, list[Change]]:
        """What leads to each stage from the one before it."""
        data = load(self.original)
        aliases = at(data, section("aliases")) or {}
        present = (at(data, section("models")) or {})[self.old]
        every = (Turned(self.old, self.new, self.candidate), *self.adapters)
        beside = _added(present, self.old, self.new, self.entry, self.adapters)
        beside += [put(section("aliases"), one.candidate, one.new) for one in every]
        turned: list[Change] = []
        for one in every:
            turned += [*_turned_aliases(aliases, one.old, one.new), drop(section("aliases"), one.candidate)]
            turned += [*_keys(data, one.old, one.new), *_tiers(data, one.old, one.new)]
        final = [drop(section("models"), self.old), *_load(data, self.old, self.new)]
        return {"original": [], "beside": beside, "turned": turned, "final": final}

    @cached_property
    def texts(self) -> dict[Stage, str]:
        """The file in each stage, as long as nobody else changes it.

        Raises:
            BadInputError: the file is laid out in a way that cannot be changed so.
        """
        texts: dict[Stage, str] = {}
        text = self.original
        for stage in STAGES:
            text = texts[stage] = made(text, self.changes[stage])
        return texts

    def forward(self, current: str, stage: Stage) -> str:
        """The file in a stage, from what it is now. What a person changed in it meanwhile stays.

        Raises:
            BadInputError: it cannot be changed so.
        """
        if current in self.texts.values():
            return self.texts[stage]
        return made(current, [one for name in STAGES[: STAGES.index(stage) + 1] for one in self.changes[name]])

    def backward(self, current: str, stage: Stage) -> str:
        """The same on the way back.

        Raises:
            BadInputError: it cannot be changed so.
        """
        if current in self.texts.values():
            return self.texts[stage]
        data = load(self.original)
        undone: list[Change] = []
        for name in STAGES:
            for change in self.changes[name]:
                if not change.needed(data):
                    continue
                if STAGES.index(name) > STAGES.index(stage):
                    undone.append(change.back(data))
                change.in_data(data)
        return made(current, undone[::-1])


def _added(present: Any, old: str, new: str, entry: dict[str, Any], adapters: tuple[Turned, ...]) -> list[Change]:
    """The new model beside the old one: a copy of it, so that comments go along, with what is another."""
    if not isinstance(present, dict):
        return [put(section("models"), new, entry)]
    known = dict(cast("dict[str, Any]", present))
    if adapters:
        names = {one.old: one.new for one in adapters}
        known["adapters"] = {names.get(name, name): said for name, said in adapters_of(known).items()}
    other = [put(section("models", new), key, value) for key, value in entry.items() if known.get(key) != value]
    return [
        copied(section("models"), old, new),
        *(rename(section("models", new, "adapters"), one.old, one.new) for one in adapters),
        *other,
        *(drop(section("models", new), key) for key in known if key not in entry),
    ]


def _turned_aliases(aliases: dict[str, Any], old: str, new: str) -> list[Change]:
    changes: list[Change] = []
    for alias, value in aliases.items():
        if alias == new or old not in arms_of(value):
            continue
        if isinstance(value, str):
            changes.append(put(section("aliases"), alias, new))
        else:
            changes.append(rename(section("aliases", alias), old, new))
    # The new model answers to its own name from now on, and to that of the old one.
    if old not in aliases:
        changes.append(put(section("aliases"), old, new))
    if new in aliases:
        changes.append(drop(section("aliases"), new))
    return changes


def _keys(data: dict[str, Any], old: str, new: str) -> list[Change]:
    """Whoever may ask for the old model may ask for the new one."""
    keys = at(data, section("router", "keys")) or {}
    allowed = {name: section("router", "keys", name, "models") for name in keys}
    return [append(path, new) for path in allowed.values() if old in list_at(data, path)]


def _tiers(data: dict[str, Any], old: str, new: str) -> list[Change]:
    """What answers in the old model's place beyond the fleet does so for the new one."""
    found: list[Change] = []
    for tier in at(data, section("tiers")) or {}:
        path = section("tiers", tier, "models")
        models = at(data, path) or {}
        if old in models and new not in models:
            found.append(put(path, new, models[old]))
    return found


def _load(data: dict[str, Any], old: str, new: str) -> list[Change]:
    """The load that the old model was expected to have is the new one's. Only models have one, not aliases."""
    path = section("load", "models")
    profiles = at(data, path) or {}
    if old not in profiles:
        return []
    return [drop(path, old) if new in profiles else rename(path, old, new)]
