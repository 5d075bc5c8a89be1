"""The line in which requests of a model wait for room, or for the model to wake up."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

from fleet_spec.governance_spec import Priority

PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")
"""The first goes first."""


class Waiter(Protocol):
    """What waits."""

    def displaced(self) -> None:
        """Somebody more urgent has taken the last place in the line."""
        ...


W = TypeVar("W", bound=Waiter)


class WaitingLine(Generic[W]):
    """First come, first served within a priority. Every step costs the same however long the line is."""

    def __init__(self) -> None:
        self.size = 0
        # Ordered by a linked list: taking the first out of a plain dict slows down with every one taken.
        self._lines: dict[Priority, OrderedDict[W, None]] = {priority: OrderedDict() for priority in PRIORITIES}

    def join(self, waiter: W, priority: Priority, *, places: int, in_front: bool = False) -> bool:
        """Take a place. False where all ``places`` are taken by others that are as urgent.

        ``in_front`` is for one that was served already and has to wait again: it keeps its turn, and its place.
        """
        if self.size >= places and not in_front:
            last = self._last_below(priority)
            if places == 0 or last is None:
                return False
            self.leave(last)
            last.displaced()
        line = self._lines[priority]
        line[waiter] = None
        if in_front:
            line.move_to_end(waiter, last=False)
        self.size += 1
        return True

    def take(self) -> W | None:
        """The one whose turn it is, who leaves the line."""
        for line in self._lines.values():
            if line:
                self.size -= 1
                return line.popitem(last=False)[0]
        return None

    def leave(self, waiter: W) -> None:
        """Give a place up. One that has none is none the worse."""
        for line in self._lines.values():
            if waiter in line:
                del line[waiter]
                self.size -= 1
                return

    def all(self) -> list[W]:
        """Everybody, in the order of their turns."""
        return [waiter for line in self._lines.values() for waiter in line]

    def _last_below(self, priority: Priority) -> W | None:
        for lower in reversed(PRIORITIES):
            if lower == priority:
                return None
            if self._lines[lower]:
                return next(reversed(self._lines[lower]))
        return None
