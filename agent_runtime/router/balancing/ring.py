"""A ring on which keys find the same member again, however many members come and go.

Consistent hashing (Karger et al., "Consistent hashing and random trees", 1997): a member that comes takes its share
of the keys and no others change their place. How far a key walks when its member is busy is the caller's rule: with
a bound on every member's load it is "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam, 2016).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Generic, TypeVar

Member = TypeVar("Member")

_BLOCKS: Final = 8
_POSITIONS_PER_BLOCK: Final = 8
"""A member has 64 positions: its share then varies by an eighth, which the bound on loads evens out."""


def position(text: str) -> int:
    """Where a text is on the ring. The same in every process: not Python's ``hash``."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Ring(Generic[Member]):
    """Members, by name, in a circle. It does not change: other members make another ring."""

    def __init__(self, members: Iterable[tuple[str, Member]]) -> None:
        points = sorted(
            ((place, order, member) for order, (name, member) in enumerate(members) for place in _positions(name)),
            key=_place,
        )
        self._places = [place for place, _, _ in points]
        self._members = [member for _, _, member in points]

    def walk(self, key: int) -> Iterator[Member]:
        """Every member once, from the key's own onwards. The first costs a binary search."""
        count = len(self._places)
        start = bisect_left(self._places, key)
        seen: set[int] = set()
        for step in range(count):
            member = self._members[(start + step) % count]
            if id(member) not in seen:
                seen.add(id(member))
                yield member


def _place(point: tuple[int, int, object]) -> tuple[int, int]:
    return point[0], point[1]


@lru_cache(maxsize=8192)
def _positions(name: str) -> tuple[int, ...]:
    found: list[int] = []
    for block in range(_BLOCKS):
        digest = blake2b(f"{name}#{block}".encode(), digest_size=8 * _POSITIONS_PER_BLOCK).digest()
        found += [int.from_bytes(digest[at : at + 8], "big") for at in range(0, len(digest), 8)]
    return tuple(found)
