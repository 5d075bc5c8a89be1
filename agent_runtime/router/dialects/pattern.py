"""The text in events that are alike but for their text.

In one answer an engine repeats an event word for word around the text of each token. Once one such event has
been decoded, the bytes before and after its text tell the others, and their text can be taken out, and put into
an event of the other dialect, as the JSON string that it is: neither decoded nor encoded.

The bytes before end inside a string, and the bytes after begin with the end of that string. Whatever is between
them is its inside, if it can be the inside of a string at all: there every quotation mark is escaped.
"""

from __future__ import annotations

import re
from typing import Final

INSIDE: Final = rb'[^"\\]*(?:\\.[^"\\]*)*'
"""What may be between the quotation marks of a JSON string."""

_INSIDE = re.compile(INSIDE)
_TRIES: Final = 4
"""How many events are looked at in vain before an engine is taken to write no two alike."""


class TextPattern:
    """The bytes around the text of one stream's events, once they are known."""

    __slots__ = ("_after", "_before", "_key", "_tries_left", "_width")

    def __init__(self, *keys: bytes) -> None:
        """``keys``: the names that the field with the text may have."""
        self._key = re.compile(rb'"(?:%b)"\s*:\s*"([^"\\]+)"' % b"|".join(keys))
        self._before = b""
        self._after = b""
        self._width = 0
        self._tries_left = _TRIES

    def learn(self, payload: bytes) -> None:
        """Look at an event that has been decoded, and was found to say its text and nothing else."""
        if self._before or not self._tries_left:
            return
        self._tries_left -= 1
        found = list(self._key.finditer(payload))
        if len(found) == 1:
            start, end = found[0].span(1)
            self._before, self._after = payload[:start], payload[end:]
            self._width = start + len(self._after)

    def text_in(self, payload: bytes) -> bytes | None:
        """The text of an event that is like the one looked at, as JSON writes it between quotation marks.

        None where the event may say anything else.
        """
        before, after = self._before, self._after
        if not before or len(payload) < self._width or not (payload.startswith(before) and payload.endswith(after)):
            return None
        text = payload[len(before) : len(payload) - len(after)]
        if (b'"' in text or b"\\" in text) and _INSIDE.fullmatch(text) is None:
            return None
        return text
