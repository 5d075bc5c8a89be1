"""Brings text into one plain form, so that detectors need to know one way of writing only.

Full-width and other digits become 0 to 9, letters lose their accents, characters without width go, dashes and
quotation marks become the typewriter's. What was hidden in a simple code is written out below: HTML's and URLs'
escapes, base64, words with a blank after each letter, numbers in words.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from agent_runtime.router.prompts.patterns import Pattern, compiled

_EXTRA = {
    "ß": "ss",
    "ł": "l",
    "Ł": "L",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "\u0131": "i",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "«": '"',
    "»": '"',
    "“": '"',
    "”": '"',
    "„": '"',
    "\u2018": "'",
    "\u2019": "'",
    "\u201a": "'",
    "\u2032": "'",
    "\u2212": "-",
    "·": ".",
    "•": "-",
    "。": ". ",
}
_UNICODE_ESCAPE = re.compile(r"\\u(00[0-7][0-9a-f])", re.I)
_MAX_DECODED_BYTES = 4_000_000

_NUMBER_WORDS = {
    digit: words.split()
    for digit, words in {
        "0": "zero oh null zero nul cero",
        "1": "one eins ein un uno een jeden um",
        "2": "two zwei zwo deux dos due twee dwa dois duas",
        "3": "three drei trois tres tre drie trzy",
        "4": "four vier quatre cuatro quattro cztery quatro",
        "5": "five funf fuenf cinq cinco cinque vijf piec",
        "6": "six sechs seis sei zes szesc meia",
        "7": "seven sieben sept siete sette zeven siedem sete",
        "8": "eight acht huit ocho otto osiem oito",
        "9": "nine neun neuf nueve nove negen dziewiec",
    }.items()
}
_DIGIT_OF = {word: digit for digit, words in _NUMBER_WORDS.items() for word in words}
_REPEATS = {"double": 2, "doppel": 2, "triple": 3}
_WORD = "|".join(sorted({*_DIGIT_OF, *_REPEATS}, key=len, reverse=True))
_PART = re.compile(rf"\b(?:{_WORD})\b|\d", re.I)


class _Table(dict[int, str | None]):
    """What each character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        self[code] = made = _replacement(chr(code))
        return made


def _replacement(character: str) -> str | None:
    if character.isascii():
        return character
    if character in _EXTRA:
        return _EXTRA[character]
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category in ("Cf", "Mn", "Me"):
        return None
    return {"Pd": "-", "Zs": " "}.get(category, character)


_TABLE = _Table()
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def plain(text: str) -> str:
    """The text without accents and typography; its case is kept."""
    if text.isascii():
        return text
    # Letters come apart first, so that their accents can go.
    # Only what is left beyond ASCII is looked up: nearly all of most texts is not.
    return _BEYOND_ASCII.sub(lambda match: match[0].translate(_TABLE), unicodedata.normalize("NFKD", text))


class Hiding(NamedTuple):
    """A way to write a text so that it does not look like itself."""

    cue: str
    """An expression without which nothing is hidden in this way."""
    reveal: Callable[[str], str]
    """Gives the text with what is hidden written out, or what was hidden alone."""


def _unescaped(text: str) -> str:
    opened = _UNICODE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), html.unescape(text))
    return plain(unquote(opened))


def _decoded(text: str) -> str:
    found: list[str] = []
    left_bytes = _MAX_DECODED_BYTES
    for match in _BASE64_RUN.finditer(text.encode("utf-8", "replace")):
        encoded = match.group()
        left_bytes -= len(encoded)
        if left_bytes < 0:
            break
        bare = encoded.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        try:
            decoded = base64.b64decode(bare + b"=" * (-len(bare) % 4)).decode()
        except (binascii.Error, ValueError):
            continue
        if decoded.translate(_BLANKS).isprintable():
            found.append(plain(decoded))
    return "\n".join(found)


_BLANKS = str.maketrans("", "", "\r\n\t")


def _joined(text: str) -> str:
    """The text with its spaced words put together; the words around them tell what they are, and stay."""
    return _replaced(text, _SPACED_RUN, lambda run: run.replace(" ", ""))


def _in_digits(text: str) -> str:
    return _replaced(text, _SPELLED_RUN, _digits)


def _replaced(text: str, run: Pattern, replace: Callable[[str], str]) -> str:
    raw = text.encode("utf-8", "replace")
    parts: list[bytes] = []
    end = 0
    for match in run.finditer(raw):
        parts += (raw[end : match.start()], b" ", replace(match.group().decode()).encode(), b" ")
        end = match.end()
    return b"".join((*parts, raw[end:])).decode()


def _digits(words: str) -> str:
    digits: list[str] = []
    times = 1
    for match in _PART.finditer(words):
        word = match[0].lower()
        if word in _REPEATS:
            times = _REPEATS[word]
            continue
        digits.append(_DIGIT_OF.get(word, word) * times)
        times = 1
    return "".join(digits)


_ESCAPED = r"&(?:#\d{1,6}|#x[0-9a-f]{1,6}|commat|period|colon);|%(?:40|2e|3a|20)|\\u00[0-7][0-9a-f]"
_BASE64 = r"[A-Za-z0-9+/_-]{20,}={0,2}"
_SPACED = r"(?:^|\s)(?:[A-Za-z0-9@._+-] {1,3}){4,}[A-Za-z0-9@._+-](?:$|\s)"
_SPELLED = rf"\b(?:{_WORD})(?:[\s,.-]{{1,3}}(?:(?:{_WORD})\b|\d)){{6,}}"
_BASE64_RUN = compiled(_BASE64)
_SPACED_RUN = compiled(_SPACED)
_SPELLED_RUN = compiled(_SPELLED)

HIDINGS = (
    Hiding(_ESCAPED, _unescaped),
    Hiding(_BASE64, _decoded),
    Hiding(_SPACED, _joined),
    Hiding(_SPELLED, _in_digits),
)
