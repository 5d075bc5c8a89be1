"""What the workers of one machine tell each other for the page, as long as anybody watches."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Final

from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.page.look import Part
from agent_runtime.router.workers import Seat

_FRESH_SECONDS: Final = 5.0
"""How long after its last word a worker, or one who watches, counts as there."""


class SharedLook:
    """The parts of all workers, each in a file of the directory that they share."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._watched = seat.directory / "page-watched"
        self._known: dict[int, int] = {}
        """The number of the last decision that was read, by worker."""

    def watch(self) -> None:
        """Tell the others that somebody watches."""
        with contextlib.suppress(OSError):  # they are not told, and the page shows this worker alone
            self._watched.touch()

    @property
    def watched(self) -> bool:
        """Whether somebody watches any of them."""
        try:
            return time.time() - self._watched.stat().st_mtime < _FRESH_SECONDS
        except OSError:
            return False

    def tell(self, part: Part) -> None:
        """Tell what this worker knows."""
        path = self._seat.directory / f"page-{self._seat.number}.json"
        with contextlib.suppress(OSError):
            new = path.with_suffix(".new")
            new.write_bytes(encode({"at": time.time(), "part": part}))
            new.replace(path)

    def others(self) -> list[Part]:
        """What the other workers know, with those of their decisions that are new."""
        found: list[Part] = []
        for number in range(self._seat.of):
            if number == self._seat.number:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError):
                said = json.loads((self._seat.directory / f"page-{number}.json").read_bytes())
                if time.time() - said["at"] > _FRESH_SECONDS:
                    continue
                part: Part = said["part"]
                last = self._known.get(number, 0)
                # A worker that was started again counts from the beginning.
                last = 0 if part["count"] < last else last
                fresh = part["decisions"][max(0, len(part["decisions"]) - (part["count"] - last)) :]
                self._known[number] = part["count"]
                found.append({**part, "decisions": fresh})
        return found
