"""Which arm of an alias a request gets: always the same one for the same user or session.

Weighted rendezvous hashing. Every arm draws a number for every unit (a session, a user, a key) from a hash of both, and
the arm with the highest score gets the unit. With u uniform in (0, 1), the score weight / -ln(u) makes an arm win with
a probability of its weight over the sum of all weights: the logarithmic method of Schindelhauer and Schomaker,
"Weighted Distributed Hash Tables" (SPAA 2005). Scores of different arms do not depend on each other. So a unit moves
only to an arm that has gained weight against the one it leaves, an arm that is added takes its share and moves
nothing else, and the units of an arm that is out of order spread over the others by weight and come back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log
from typing import Any

from agent_runtime.router.dialects.errors import Dialect


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm that a request got."""

    alias: str
    arm: str
    """The model that is to answer."""
    intended: str
    """The model that would have answered, were it in order."""

    @property
    def fallen_back(self) -> bool:
        """Whether another arm stands in. A fair comparison leaves such requests out, or counts them apart."""
        return self.arm != self.intended


def unit_of(
    session: str, dialect: Dialect, body: Mapping[str, Any], *, owner: str, by_owner: bool = False
) -> str | None:
    """Whose requests stay together; None where each request is drawn by itself.

    The session that the client names, else OpenAI's ``user``, else, where ``by_owner`` asks for it, the caller's key.
    Two keys' users of the same name are two users.
    """
    if session:
        return f"session\0{owner}\0{session}"
    user: object = body.get("user") if dialect == "openai" else None
    if isinstance(user, str) and user:
        return f"user\0{owner}\0{user}"
    return f"owner\0{owner}" if by_owner else None


def assign(
    alias: str, arms: Sequence[tuple[str, float]], unit: str | None, usable: Callable[[str], bool]
) -> Assignment | None:
    """Give a request an arm. None: no arm is usable.

    Args:
        alias: The name that was asked for.
        arms: The models that it stands for, with weights above zero.
        unit: Whose request it is, from :func:`unit_of`; None draws by chance.
        usable: Whether a model can answer now.
    """
    order = _by_chance(arms) if unit is None else ranking(alias, arms, unit)
    arm = next((arm for arm in order if usable(arm)), None)
    return None if arm is None else Assignment(alias, arm, order[0])


def ranking(alias: str, arms: Sequence[tuple[str, float]], unit: str) -> list[str]:
    """The arms for a unit, the one that gets it first, then those that stand in, in turn."""
    scores = [(weight / -log(_uniform(alias, arm, unit)), arm) for arm, weight in arms]
    return [arm for _, arm in sorted(scores, reverse=True)]


def _by_chance(arms: Sequence[tuple[str, float]]) -> list[str]:
    # The same scores, with chance in place of the hash.
    scores = [(weight / random.expovariate(1.0), arm) for arm, weight in arms]
    return [arm for _, arm in sorted(scores, reverse=True)]


def _uniform(alias: str, arm: str, unit: str) -> float:
    """A number strictly between 0 and 1: the middle of one of 2**52 steps, each of which a float can hold."""
    seed = f"{alias}\0{arm}\0{unit}".encode("utf-8", "surrogatepass")
    return ((int.from_bytes(blake2b(seed, digest_size=8).digest(), "big") >> 12) + 0.5) / 2**52
