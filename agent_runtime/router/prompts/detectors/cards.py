"""Numbers of payment cards: an issuer's prefix, a length that it uses, and the check digit of ISO/IEC 7812."""

from __future__ import annotations

import re

from stdnum import luhn

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import Match, compiled

CUE = r"(?:\d[ \-./_]{0,3}){12}"

_DIGITS = compiled(r"\d(?:[ ]{0,2}[-./_]?[ ]{0,2}\d){11,}")
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
    r"|220[0-4]\d{12}"  # Mir
    r"|(?:508[5-9]|6069|60[78]\d|8[12]\d\d)\d{12}"  # RuPay
)
_USUAL_GROUPS = frozenset(((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)))
_USUAL_LENGTHS = (14, 15, 16)
_LONGEST_TOLD = 40
"""Up to how many digits in a row words around may tell that a card is among them, in whatever groups."""
_SAYS_CARD = compiled(
    r"card|visa|master|amex|credit|debit|cvv|cvc|kreditk|karte|carte|tarjeta|carta|kaart|kart[ay]|"
    r"cartao|payment|charge|\bpan\b"
)


def find(passage: Passage) -> bool:
    """Whether there is a card's number."""
    return any(_is_card(match, passage) for match in _DIGITS.finditer(passage.text))


def _is_card(match: Match, passage: Passage) -> bool:
    written = match.group().decode()
    digits = "".join(filter(str.isdigit, written))
    if len(digits) in _USUAL_LENGTHS and _fits(digits, passage):
        return True
    groups = _groups(written)
    said = len(digits) <= _LONGEST_TOLD and _SAYS_CARD.search(passage.around(match.start(), match.end())) is not None
    for start in range(len(groups)):
        joined = ""
        shape: tuple[int, ...] = ()
        for group in groups[start : start + 19]:
            joined += group
            shape += (len(group),)
            if len(joined) > 19:
                break
            usual = shape in _USUAL_GROUPS or (len(shape) == 1 and len(joined) in _USUAL_LENGTHS)
            if len(joined) >= 12 and (usual or said) and _fits(joined, passage):
                return True
    return False


def _groups(written: str) -> list[str]:
    """The groups of digits; digits that stand alone, side by side, are one group that was spaced out."""
    groups: list[str] = []
    alone: list[str] = []
    for group in re.findall(r"\d+", written):
        if len(group) == 1:
            alone.append(group)
            continue
        if alone:
            groups.append("".join(alone))
            alone = []
        groups.append(group)
    if alone:
        groups.append("".join(alone))
    return groups


def _fits(digits: str, passage: Passage) -> bool:
    if _ISSUERS.fullmatch(digits) is None:
        return False
    passage.spend()
    return len(set(digits)) > 1 and luhn.is_valid(digits)
