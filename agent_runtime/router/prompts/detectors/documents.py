"""Numbers of people's papers and files, and dates of birth, by the words that introduce them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from agent_runtime.router.prompts.detectors.people import NAMED, OWN, PRONOUN, RELATIVE
from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import any_of, compiled

_PAPERS = (
    r"passports?",
    r"reisepass(?:nummer|-?nr)?",
    r"passe?port[eos]?",
    r"pasaporte",
    r"passaport[oe]",
    r"paszport\w*",
    r"paspoort(?:nummer)?",
    r"pass-?(?:nr|nummer)",
    r"driv(?:er|ers|er's|ing)'? ?li[cs]en[cs]e",
    r"fuhrerschein(?:nummer|-?nr)?",
    r"permis de conduire",
    r"(?:permiso|carnet|licencia) de conducir",
    r"patente(?: di guida)?",
    r"rijbewijs(?:nummer)?",
    r"praw[oa] jazdy",
    r"carta de conducao",
    r"cnh",
    r"personalausweis(?:nummer|-?nr)?",
    r"ausweis(?:nummer|-?nr)?",
    r"carte d'identite",
    r"carta d'identita",
    r"cedula",
    r"dow(?:od|odu) osobist\w*",
    r"identiteitskaart",
    r"bilhete de identidade",
    r"(?:national |government )?id(?:entity)? (?:card|number|no)",
    r"residence permit",
    r"aufenthaltstitel",
    r"visa (?:number|no)",
    r"green card",
    r"mrn",
    r"medical record",
    r"(?:health )?insurance (?:number|no|id|member)",
    r"(?:member|policy|subscriber|medicare|medicaid) (?:id|number|no)",
    r"(?:kranken)?versicherten?nummer",
    r"krankenversicherungsnummer",
    r"vin",
    r"licen[cs]e plate",
    r"kennzeichen",
)
_BIRTHS = (
    r"date of birth",
    r"birth ?date",
    r"birthday",
    r"dob",
    r"d\.o\.b\.?",
    r"born(?: on| in)?",
    r"geboren(?: am)?",
    r"geburtsdatum",
    r"geb\.",
    r"nee? le",
    r"date de naissance",
    r"fecha de nacimiento",
    r"nacid[oa](?: el)?",
    r"naci el",
    r"data di nascita",
    r"nat[oa] il",
    r"geboortedatum",
    r"geboren op",
    r"data urodzenia",
    r"urodz\w+",
    r"data de nascimento",
    r"nascid[oa](?: em| a)?",
    r"nasci em",
)
CUE = rf"\b{any_of((*_PAPERS, *_BIRTHS))}"

_PAPER = compiled(rf"\b{any_of(_PAPERS)}\b")
_BIRTH = compiled(rf"\b{any_of(_BIRTHS)}(?:\b|\s|$)")
_NUMBER = re.compile(
    r"(?<![\w/])(?=[A-Z0-9-]*\d[A-Z0-9-]*\d[A-Z0-9-]*\d)[A-Z0-9](?:[A-Z0-9-]| (?=[A-Z0-9]*\d)){4,17}(?![\w/])", re.I
)
_YEARS = re.compile(r"^\d{4}(?:-\d{2,4})?(?:-\d{2})?$")
_MONTHS = (
    "jan feb mar apr may jun jul aug sep oct nov dec mai okt dez marz janv fevr avr juin juil aout "
    "ene abr ago dic gen mag giu lug set ott "
    "maart mei sty lut kwi maj cze lip sie wrz paz lis gru fev out"
).replace(" ", "|")
_DATE = compiled(
    rf"\b\d{{1,2}}[./ -]\d{{1,2}}[./ -](\d{{4}}|\d{{2}})\b|\b(\d{{4}})[./-]\d{{1,2}}[./-]\d{{1,2}}|"
    rf"\b\d{{1,2}}(?:st|nd|rd|th|\.|er|o)?\s(?:de\s)?(?:{_MONTHS})[a-z]*\.?,?\s(?:de\s|del\s)?(\d{{4}})|"
    rf"\b(?:{_MONTHS})[a-z]*\.?\s\d{{1,2}}(?:st|nd|rd|th)?,?\s(\d{{4}})"
)
_PERSON = compiled(
    rf"{OWN}|{RELATIVE}|{NAMED}|{PRONOUN}|\b(?:i|i'm|ich|je|io|ik|eu|nata|user|applicant|tenant)\b|"
    rf"\bname\b|\bnaci\b|\bnasci\b|\burodzilem\b"
)
_LABEL = re.compile(
    rb"dob|d\.o\.b|birth|geburtsdatum|geb\.|naissance|nacimiento|nascita|geboortedatum|urodzenia|nascimento", re.I
)
_OLDEST_YEARS = 120


def find(passage: Passage) -> bool:
    """Whether there is the number of somebody's papers, or somebody's date of birth."""
    if any(_has_number(rest) for _, rest in passage.following(_PAPER)):
        return True
    for match in passage.places(_BIRTH):
        if _is_living(passage.after(match.end(), 40)) and (
            _LABEL.search(match.group()) or _PERSON.search(passage.around(match.start(), match.end()))
        ):
            return True
    return False


def _has_number(rest: str) -> bool:
    return any(
        sum(map(str.isdigit, match[0])) >= 4 and not _YEARS.match(match[0].strip()) for match in _NUMBER.finditer(rest)
    )


def _is_living(written: bytes) -> bool:
    """Whether a date stands there that somebody who lives can be born on."""
    now = datetime.now(UTC).year
    for match in _DATE.finditer(written):
        year = next(group for group in match.groups() if group)
        if len(year) == 2 or now - _OLDEST_YEARS <= int(year) <= now:
            return True
    return False
