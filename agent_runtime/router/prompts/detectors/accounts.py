"""Bank accounts: IBANs by their length and check digits (ISO 13616), others by the words before them."""

from __future__ import annotations

from stdnum import iban

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import any_of, compiled

_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FO FI GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ XK LT LU MN",
        "21": "CR HR LV LI CH",
        "22": "BH BG GE DE IE ME RS GB VA",
        "23": "AE TL IL GI IQ OM SO",
        "24": "AD CZ MD PK RO SA SK ES SE TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MR MC SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
_ACCOUNT_WORDS = (
    r"account (?:number|no|nr|#)",
    r"acct\.?(?: (?:number|no|nr|#))?",
    r"bank account",
    r"routing(?: number)?",
    r"sort code",
    r"kontonummer",
    r"konto(?:-?nr)?",
    r"numero de (?:compte|cuenta|conta)",
    r"numero di conto",
    r"rekening(?:nummer)?",
    r"(?:numer|nr) konta",
    r"conta corrente",
    r"direct deposit",
    r"clabe",
)
CUE = rf"\b[A-Z]{{2}}\d{{2}}[ .-]?[A-Z0-9]{{2,4}}|\b{any_of(_ACCOUNT_WORDS)}"

_CANDIDATE = compiled(r"\b([A-Z]{2})[ ]?(\d{2}(?:[ .-]{0,2}[A-Z0-9]){11,32})")
_LABEL = compiled(rf"\b{any_of(_ACCOUNT_WORDS)}\b")
_ACCOUNT = compiled(r"^[^\d]{0,25}\d[\d .-]{4,32}\d")


def find(passage: Passage) -> bool:
    """Whether there is somebody's bank account."""
    return any(_is_iban(match.group().decode("utf-8", "ignore")) for match in _CANDIDATE.finditer(passage.text)) or any(
        _ACCOUNT.search(rest.encode()) for _, rest in passage.following(_LABEL)
    )


def _is_iban(written: str) -> bool:
    compact = "".join(filter(str.isalnum, written)).upper()
    length = _LENGTHS.get(compact[:2], 99)
    return len(compact) >= length and iban.is_valid(compact[:length], check_country=False)
