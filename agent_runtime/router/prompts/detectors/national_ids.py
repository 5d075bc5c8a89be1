"""Numbers that states give to people, by their form, their check digits and the words around them.

A form that little else has counts by itself. Plain digits count where the check digits are right and the sentence
says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import cast

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import Pattern, compiled


@dataclass(frozen=True, slots=True)
class _Kind:
    form: Pattern
    check: str = ""
    """A module of python-stdnum that knows the check digits; none where there are none."""
    words: Pattern | None = None
    """What has to be said around it. None: its form is its own."""


def _kind(form: str, check: str = "", words: str = "") -> _Kind:
    return _Kind(compiled(rf"\b{form}\b"), check, compiled(rf"(?:\b|_)(?:{words})") if words else None)


_SSN = (
    r"(?:00[1-9]|0[1-9]\d|[1-57-8]\d\d|6[0-57-9]\d|66[0-57-9])[ -](?:0[1-9]|[1-9]\d)[ -](?:000[1-9]|"
    r"00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
)
_SSN_WORDS = r"ssn|social security|soc\.? sec|social\b|itin\b|tax ?id|taxpayer"
_TAX_WORDS = r"steuer|idnr|tin\b|tax ?id|identifikationsnummer"

_KINDS = (
    # United States
    _kind(_SSN.replace("[ -]", "-")),
    _kind(_SSN.replace("[ -]", " "), words=_SSN_WORDS),
    _kind(r"\d{3}[ -]?\d{2}[ -]?\d{4}", words=r"ssn|social security (?:number|no|nr|#)|itin\b"),
    # United Kingdom: the prefixes that are given out
    _kind(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),
    _kind(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", r"nhs|health service"),
    # Germany, Austria, Switzerland
    _kind(r"\d{2} \d{3} \d{3} \d{3}", "de.idnr"),
    _kind(r"\d{2}[ /]?\d{3}[ /]?\d{3}[ /]?\d{3}", "de.idnr", _TAX_WORDS),
    _kind(r"\d{2} ?\d{6} ?[A-Z] ?\d{3}", words=r"sozialvers|rentenvers|svnr|versicherungsnummer"),
    _kind(r"\d{4} ?\d{6}", "at.vnr", r"sozialvers|svnr|sv-?nummer|versicherungsnummer"),
    _kind(r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}", "ch.ssn"),
    # France, Belgium, Luxembourg
    _kind(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    _kind(r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3}", words=r"securite sociale|nir\b|insee"),
    _kind(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    _kind(r"\d{11}", "be.nn", r"rijksregister|registre national|niss\b|insz"),
    # Spain, Italy, Portugal
    _kind(r"\d{8}[ -]?[A-Z]", "es.dni"),
    _kind(r"[XYZ][ -]?\d{7}[ -]?[A-Z]", "es.nie"),
    _kind(r"[A-Z]{6}[ ]?\d{2}[A-EHLMPRST]\d{2}[ ]?[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _kind(r"\d{3} ?\d{3} ?\d{3}", "pt.nif", r"nif\b|contribuinte|numero fiscal"),
    # The Netherlands, Poland, the north, Ireland
    _kind(r"\d{3}[ .]?\d{3}[ .]?\d{3}|\d{4}[ .]\d{2}[ .]\d{3}", "nl.bsn", r"bsn|burgerservice|sofi"),
    _kind(r"\d{11}", "pl.pesel", r"pesel|ewidencyjny"),
    _kind(r"\d{6}(?:\d{2})?[-+]?\d{4}", "se.personnummer", r"personnummer|personal identity"),
    _kind(r"\d{6}[-+A]\d{3}[A-Y0-9]", "fi.hetu"),
    _kind(r"\d{6}-?\d{4}", "dk.cpr", r"cpr"),
    _kind(r"\d{6} ?\d{5}", "no.fodselsnummer", r"fodselsnummer|personnummer"),
    _kind(r"\d{7}[A-W][A-IW]?", "ie.pps", r"pps"),
    _kind(r"\d{6}/?\d{3,4}", "cz.rc", r"rodne|rodny"),
    _kind(r"[1-9]\d{12}", "ro.cnp", r"cnp"),
    # Asia
    _kind(r"[2-9]\d{3} \d{4} \d{4}", "in_.aadhaar"),
    _kind(r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", "in_.aadhaar", r"aadh?aa?r|uidai|kyc"),
    _kind(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", "in_.pan"),
    _kind(r"\d{17}[\dX]", "cn.ric"),
    _kind(r"\d{6}-?[1-8]\d{6}", "kr.rrn", r"resident|rrn"),
    _kind(r"[STFGM]\d{7}[A-Z]", words=r"nric|\bfin\b|singapore"),
    _kind(r"[1-9]\d{10}", "tr.tckimlik", r"kimlik|tckn|t\.?c\.? no"),
    # The Americas, Africa, Australia
    _kind(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _kind(r"\d{11}", "br.cpf", r"cpf"),
    _kind(r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", "br.cnpj"),
    _kind(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "ca.sin", r"sin\b|social insurance"),
    _kind(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", "mx.curp"),
    _kind(r"\d{13}", "za.idnr", r"south african|id (?:number|no)|identity"),
    _kind(r"\d{3} ?\d{3} ?\d{2,3}", "au.tfn", r"tfn|tax file"),
    _kind(r"\d{1,2}\.?\d{3}\.?\d{3}-?[\dK]", "cl.rut", r"rut\b|\brun\b"),
)
CUE = (
    r"\d[\d ./-]{6,}\d|[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]|\d{7,8}[ -]?[A-Z]|[A-Z]{4,6} ?\d{2}|"
    r"[XYZSTFGM]-?\d{7}|\d{6}[-+A]\d{3}"
)
_OTHER_THINGS = compiled(
    r"\b(?:order|invoice|ticket|tracking|serial|sku|part|isbn|ref(?:erence)?|bestell\w*|rechnung\w*|"
    r"commande|pedido|ordine|zamowieni\w*)"
    r"[a-z]*\.?(?:\s+(?:number|no|nr|num|id|code))?[\s.:#]*$"
)


def find(passage: Passage) -> bool:
    """Whether there is a number by which a state knows a person."""
    return any(_has(kind, passage) for kind in _KINDS)


def _has(kind: _Kind, passage: Passage) -> bool:
    if kind.words is not None and not kind.words.search(passage.text):
        return False
    check = _check(kind.check) if kind.check else None
    for match in passage.places(kind.form):
        if check is not None and not check(match.group().decode("utf-8", "ignore")):
            continue
        if kind.words is None:
            if not _OTHER_THINGS.search(passage.before(match.start(), 30)):
                return True
        elif kind.words.search(passage.around(match.start(), match.end())):
            return True
    return False


@cache
def _check(name: str) -> Callable[[str], bool]:
    """A check of python-stdnum's, imported when a form first asks for it: there are many of them."""
    return cast("Callable[[str], bool]", import_module(f"stdnum.{name}").is_valid)
