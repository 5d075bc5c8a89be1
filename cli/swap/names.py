"""Which model a swap is about, and what the one that comes is called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from cli.stack_changes import arms_of
from fleet_spec.errors import BadInputError

_COUNTED = re.compile(r"^(?P<name>.+)-\d+$")


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
