"""What was decided over the arms of an experiment, and the scores that judges gave, beside the rest of the records.

A ruling is made once for all workers over the same file: whoever finds the reason first writes it down, in one
transaction with a look at what others have written, so that no two workers stop the last two arms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agent_runtime.router.experiments.records import Records

Kind = Literal["stopped", "promoted"]
_MOST_SCORES: Final = 100_000
"""Of one arm, so that nobody fills the disk with them."""
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS rulings (experiment TEXT, arm TEXT, kind TEXT, reason TEXT, second INTEGER, "
    "PRIMARY KEY (experiment, arm, kind)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS scores (experiment TEXT, arm TEXT, prompt TEXT, score REAL NOT NULL, "
    "place INTEGER NOT NULL, PRIMARY KEY (experiment, arm, prompt)) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided over an arm."""

    experiment: str
    arm: str
    kind: Kind
    reason: str
    second: int
    """When, in seconds since 1970."""

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"arm": self.arm, "kind": self.kind, "reason": self.reason, "timestampSeconds": self.second}


class Rulings:
    """The tables. Their methods wait for the disk."""

    def __init__(self, records: Records) -> None:
        """Make the tables where there are none.

        Raises:
            sqlite3.Error: the disk is full, or the file is locked.
        """
        self._records = records
        with records.transaction() as db:
            for statement in _SCHEMA:
                db.execute(statement)

    def of(self, experiment: str) -> tuple[Ruling, ...]:
        """What was decided over an experiment, in the order in which it was."""
        with self._records.transaction("DEFERRED") as db:
            return _of(db, experiment)

    def decide(self, experiment: str, judge: Callable[[Sequence[Ruling]], Sequence[Ruling]]) -> tuple[Ruling, ...]:
        """Write down what ``judge`` decides, given what was decided before. Gives all of it.

        Raises:
            sqlite3.Error: as above.
        """
        with self._records.transaction() as db:
            before = _of(db, experiment)
            fresh = judge(before)
            db.executemany(
                "INSERT OR IGNORE INTO rulings VALUES (?, ?, ?, ?, ?)",
                [(experiment, one.arm, one.kind, one.reason, one.second) for one in fresh],
            )
        return (*before, *fresh)

    def score(self, experiment: str, prompt: str, scores: Mapping[str, float]) -> None:
        """Note what arms were given for one prompt; a prompt that was scored before is scored anew.

        Raises:
            sqlite3.Error: as above.
            ValueError: the experiment has had as many as are kept.
        """
        with self._records.transaction() as db:
            count, place = db.execute(
                "SELECT COUNT(*), COALESCE(MAX(place), 0) + 1 FROM scores WHERE experiment = ?", (experiment,)
            ).fetchone()
            if count > _MOST_SCORES * len(scores):
                raise ValueError(f"{count} scores were given, and no more are kept")
            db.executemany(
                "INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET score = excluded.score",
                [(experiment, arm, prompt, score, place) for arm, score in scores.items()],
            )

    def scores(self, experiment: str) -> dict[str, dict[str, float]]:
        """The scores of an experiment in the order in which they were given: arm -> prompt -> score."""
        with self._records.transaction("DEFERRED") as db:
            rows = db.execute(
                "SELECT arm, prompt, score FROM scores WHERE experiment = ? ORDER BY place, prompt", (experiment,)
            ).fetchall()
        found: dict[str, dict[str, float]] = {}
        for arm, prompt, score in rows:
            found.setdefault(arm, {})[prompt] = score
        return found


def _of(db: sqlite3.Connection, experiment: str) -> tuple[Ruling, ...]:
    rows = db.execute(
        "SELECT arm, kind, reason, second FROM rulings WHERE experiment = ? ORDER BY second, kind DESC, arm",
        (experiment,),
    ).fetchall()
    return tuple(Ruling(experiment, *row) for row in rows)
