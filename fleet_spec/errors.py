"""Mistakes in what a person wrote, reported all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: the key that holds it, what is wrong with its value, and how to put it right."""

    key: str
    """Where the mistake is, as a dotted path in the stack's config, such as ``models.assistant.replicas``."""
    message: str
    """What is wrong. Names the value, unless the value is a secret."""
    fix: str
    """What to write instead, or which command to run."""

    def __str__(self) -> str:
        return f"{self.key}: {self.message}\n    fix: {self.fix}"


class PaddockError(Exception):
    """The root of every error that Paddock raises on purpose. Its text is meant for a person."""

    exit_code = 1
    """What the command exits with: 1 where the work failed, 2 where what was asked is wrong."""


class BadInputError(PaddockError):
    """What was asked for is wrong. Nothing was touched."""

    exit_code = 2


class SpecError(BadInputError):
    """A config that cannot be used, with every mistake that was found in it."""

    def __init__(self, problems: Sequence[Problem], source: str = "the stack's config") -> None:
        self.problems = sorted(set(problems))
        self.source = source
        count = len(self.problems)
        head = f"{source} has {count} mistake{'s' if count != 1 else ''}; nothing was touched:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


class ContractError(BadInputError):
    """A fleet contract that cannot be read: not JSON, of an unknown version, or with fields missing."""
