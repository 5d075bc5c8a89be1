"""A text in its plain form, with what several detectors need from it worked out once."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

from agent_runtime.router.prompts.patterns import Match, Pattern, compiled

_SENTENCE_END = compiled(r"(?:[A-Za-z0-9)\"']{3,}\.|[!?])[\"')]?\s+|\n+")
_TITLE = re.compile(rb"\b(?:mrs?|ms|dr|prof|sra?|sig|dhr|mevr|mme|mlle)\.\s+\Z", re.I)
"""A dot after one of these ends no sentence."""
_LONGEST_SENTENCE_BYTES = 600
"""How far from its topic a sentence is read. What is longer is no sentence but a table, or somebody's trap."""
_MOST_PLACES = 5_000
"""How many places one detector looks at closely. Rarely has a megabyte some hundred; more would hold up the router."""


class TooMuchError(Exception):
    """A text has more places to look at closely than any person's has. It is taken to be private."""


class Passage:
    """A plain text as UTF-8. Detectors read it and keep nothing of it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode("utf-8", "replace")
        self._left = _MOST_PLACES

    def begin(self) -> None:
        """Give the next detector its share of work."""
        self._left = _MOST_PLACES

    def spend(self, places: int = 1) -> None:
        """Count places that are looked at closely.

        Raises:
            TooMuchError: there are too many.
        """
        self._left -= places
        if self._left < 0:
            raise TooMuchError

    @cached_property
    def _starts(self) -> list[int]:
        """Where the sentences begin."""
        ends = (match.end() for match in _SENTENCE_END.finditer(self.text))
        return [0, *(end for end in ends if not _TITLE.search(self.text, max(0, end - 8), end))]

    def sentences(self, topic: Pattern) -> Iterator[bytes]:
        """The sentences in which ``topic`` is, each once; of a long one, what is around the topic."""
        done = 0
        for match in topic.finditer(self.text):
            if match.start() < done:
                continue
            index = bisect_right(self._starts, match.start())
            start = max(self._starts[index - 1], match.start() - _LONGEST_SENTENCE_BYTES)
            end = self._starts[index] if index < len(self._starts) else len(self.text)
            done = min(end, match.start() + _LONGEST_SENTENCE_BYTES)
            self.spend()
            yield self.text[start:done]

    def before(self, start: int, size_bytes: int = 60) -> bytes:
        """What stands before a place, on the same line."""
        return self.text[max(0, start - size_bytes) : start].rpartition(b"\n")[2]

    def after(self, end: int, size_bytes: int = 60) -> bytes:
        """What stands after a place, on the same line."""
        return self.text[end : end + size_bytes].partition(b"\n")[0]

    def around(self, start: int, end: int, size_bytes: int = 80) -> bytes:
        """What stands before and after a place, on the same line."""
        return self.before(start, size_bytes) + b" # " + self.after(end, size_bytes)

    def places(self, pattern: Pattern) -> Iterator[Match]:
        """Where a pattern is, each counted as a place that is looked at closely."""
        for match in pattern.finditer(self.text):
            self.spend()
            yield match

    def following(self, label: Pattern, size_bytes: int = 60) -> Iterator[tuple[bytes, str]]:
        """For each place where ``label`` is: the label, and what stands after it on its line."""
        for match in self.places(label):
            yield match.group(), self.after(match.end(), size_bytes).decode("utf-8", "ignore")
