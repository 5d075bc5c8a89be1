"""Regular expressions whose time is linear in the text, whoever wrote them: RE2's.

They are matched against UTF-8, because RE2 works on bytes and offsets into text would cost a translation each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

_RE2: Any = re2
"""The module has no types of its own."""
_MEMORY_BYTES = 64 << 20
"""What one pattern's automaton may take. Below it RE2 would fall back to a slower way."""


class Match(Protocol):
    """Where a pattern was found."""

    def start(self, group: int = 0, /) -> int:
        """Where it begins, in bytes."""
        ...

    def end(self, group: int = 0, /) -> int:
        """Where it ends, in bytes."""
        ...

    def group(self, group: int = 0, /) -> bytes:
        """What was found."""
        ...

    def groups(self) -> tuple[bytes | None, ...]:
        """What every group in brackets has found."""
        ...


class Pattern(Protocol):
    """A compiled expression."""

    def search(self, text: bytes, /) -> Match | None:
        """The first place where it is."""
        ...

    def finditer(self, text: bytes, /) -> Iterator[Match]:
        """Every place where it is, none overlapping another."""
        ...


class PatternError(ValueError):
    """An expression that RE2 cannot do. Its text is RE2's reason."""


def _options(*, case_sensitive: bool) -> Any:
    options = _RE2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    options.case_sensitive = case_sensitive
    return options


def compiled(expression: str, *, case_sensitive: bool = False) -> Pattern:
    """An expression to look for in UTF-8.

    Raises:
        PatternError: it is wrong, or needs what cannot be had in linear time: back-references and look-around.
    """
    try:
        return cast("Pattern", _RE2.compile(expression, _options(case_sensitive=case_sensitive)))
    except _RE2.error as error:
        reason: object = error.args[0] if error.args else error
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error


def listed(words: str) -> list[str]:
    """The words of a text, for lists that are easier to read without quotation marks."""
    return words.split()


def any_of(words: Iterable[str]) -> str:
    """An expression for one of several, each an expression itself; white space between words may be any."""
    return "(?:" + "|".join(word.replace(" ?", r"\s?").replace(" ", r"\s+") for word in words) + ")"


class PatternSet:
    """Several expressions that are looked for in one pass."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._count = len(expressions)
        self._set = _RE2.Set.SearchSet(_options(case_sensitive=False))
        for expression in expressions:
            self._set.Add(expression)
        # It is in every text. Where not even this is found, RE2 ran out of memory and has not looked to the end.
        self._set.Add("")
        self._set.Compile()

    def found(self, text: bytes) -> list[int]:
        """Which of the expressions, by their place, are somewhere in the text; all of them where nobody can tell."""
        matched = cast("list[int] | None", self._set.Match(text))
        if matched is None:
            return list(range(self._count))
        return sorted(index for index in matched if index < self._count)
