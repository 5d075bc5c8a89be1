"""Which model a swap is about, and what the one that comes is called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.stack_changes import arms_of
from fleet_spec.errors import BadInputError

_COUNTED = re.compile(r"^(?P<name>.+)-\d+$")


@dataclass(frozen=True)
class Turned:
    """A name that goes, the one that comes in its place, and the alias of that until clients get it."""

    old: str
    new: str
    candidate: str


def adapters_of(entry: Any) -> dict[str, Any]:
    """The adapters of a model, as a stack's file has it."""
    said: Any = entry.get("adapters") if isinstance(entry, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return said if isinstance(said, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def served(models: Mapping[str, Any]) -> dict[str, str]:
    """Every model and every adapter of a stack's file, each with the model that serves it."""
    return {
        **{name: name for name in models},
        **{adapter: name for name, entry in models.items() for adapter in adapters_of(entry)},
    }


def turned_adapters(old: str, new: str, models: Mapping[str, Any], aliases: Mapping[str, Any]) -> tuple[Turned, ...]:
    """What the adapters of a model are called that go over to the new one. Their names take turns as the models' do."""
    taken: dict[str, Any] = {**served(models), new: new}
    found: list[Turned] = []
    for adapter in adapters_of(models[old]):
        name = name_for_new(adapter, taken, aliases)
        found.append(Turned(adapter, name, name_for_candidate(name, taken, aliases)))
        taken[name] = taken[found[-1].candidate] = new
    return tuple(found)


def model_behind(asked: str, models: Mapping[str, Any], aliases: Mapping[str, Any]) -> str:
    """The one model that clients get under a name. As in the router, an alias comes before a model of its name.

    Raises:
        BadInputError: nothing has that name, or several models share it.
    """
    if asked in aliases:
        arms = [name for name, weight in arms_of(aliases[asked]).items() if weight]
        if len(arms) != 1:
            raise BadInputError(
                f"{asked!r} stands for {len(arms)} models: {', '.join(arms)}. fix: name the one of them to swap"
            )
        return arms[0]
    if asked in models:
        return asked
    known = sorted({*models, *aliases})
    near = difflib.get_close_matches(asked, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"name one of {', '.join(known)}"
    raise BadInputError(f"{asked!r} is no model and no alias of this fleet. fix: {hint}")


def name_for_new(old: str, models: Mapping[str, Any], aliases: Mapping[str, Any]) -> str:
    """What the model that takes the place of ``old`` is called.

    Two names take turns. The first swap of ``chat`` makes ``chat-2``, and leaves ``chat`` as an alias of it; the next
    one makes ``chat`` again, and leaves ``chat-2`` as an alias. So a file does not fill up, and no name is ever lost.

    >>> name_for_new("chat", {"chat": {}}, {})
    'chat-2'
    >>> name_for_new("chat-2", {"chat-2": {}}, {"chat": "chat-2"})
    'chat'
    """

    def free(name: str) -> bool:
        return name not in models and (name not in aliases or list(arms_of(aliases[name])) == [old])

    counted = _COUNTED.match(old)
    home = counted["name"] if counted is not None else ""
    if home in aliases and free(home):
        return home
    number = 2
    while not free(f"{old}-{number}"):
        number += 1
    return f"{old}-{number}"


def name_for_candidate(new: str, models: Mapping[str, Any], aliases: Mapping[str, Any]) -> str:
    """The alias under which the new model is asked before clients get it: its own name may still lead to the old."""
    name = f"{new}-candidate"
    while name in models or name in aliases:
        name += "-2"
    return name
