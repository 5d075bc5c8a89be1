"""What can go wrong with a team."""

from __future__ import annotations

from fleet_spec.errors import BadInputError, PaddockError


class TeamRunError(PaddockError):
    """A run that stopped before its end. What was finished is kept, and it can be resumed."""

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class ResumeError(BadInputError):
    """A run that cannot be resumed: there is none of that name, it is another team's, or it is running."""


class JournalCorruptError(PaddockError):
    """A journal that cannot be read. It was left as it is."""
