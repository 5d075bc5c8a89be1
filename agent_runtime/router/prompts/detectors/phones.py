"""Telephone numbers of people, by libphonenumber's rules. Hot lines and other numbers of the public's are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import any_of, compiled

CUE = r"\+\s?\d|\d[\d ().\-/]{5,}\d"

_CANDIDATE = compiled(r"(?:\+|\b00)?[ ]?\(?\d(?:[ ]{0,2}[().\-/]{0,2}[ ]{0,2}\d){6,18}")
_CALLED = compiled(
    r"\b"
    + any_of(
        (
            # en
            r"(?:tele)?phone(?: number)?s?(?: is|:)?",
            r"phone",
            r"mobile",
            r"cell(?:phone)?",
            r"call(?: me| her| him| them| back)?",
            r"ring (?:me|her|him)",
            r"reach (?:me|her|him|them)",
            r"text (?:me|her|him|[A-Z][a-z]+)",
            r"whats ?app",
            r"voicemail",
            r"sms",
            r"dial",
            r"tel\.?",
            r"fax",
            r"(?:my|his|her|their) (?:private |work |home |new )?(?:number|digits)",
            # de
            r"handy(?:nummer)?",
            r"telefon(?:nummer)?",
            r"mobil(?:nummer|telefon)?",
            r"ruf(?:nummer|en)?",
            r"erreich(?:st|en|bar|t)",
            r"anrufen",
            # fr
            r"telephone",
            r"portable",
            r"appel(?:ez|le|er|lez)",
            r"joindre",
            r"(?:mon|son) numero",
            # es, pt
            r"telefono",
            r"movil",
            r"llam(?:a|ame|e|eme|ar)",
            r"celular",
            r"telefone",
            r"telemovel",
            r"lig(?:ue|ar|a)",
            r"(?:mi|meu|seu) numero",
            # it
            r"cellulare",
            r"chiam(?:a|ami|are|ate)",
            r"(?:il )?mio numero",
            # nl
            r"bel(?:len)?",
            r"mobiel",
            r"telefoonnummer",
            r"(?:mijn|zijn|haar) nummer",
            # pl
            r"zadzwon",
            r"dzwon(?:ic)?",
            r"komork(?:a|owy)",
            r"(?:moj )?numer telefonu",
        )
    )
    + r"(?:\b|$)"
)
_PUBLIC = compiled(
    r"\b(?:hot ?line|help ?line|help ?desk|customer (?:service|care|support|hotline)|support (?:line|"
    r"number|hotline)|toll[- ]free|free ?phone|"
    r"switchboard|front desk|call cent(?:er|re)|emergency|reception|box office|info ?line|"
    r"service ?hotline|service ?nummer|kundendienst|"
    r"kundenservice|zentrale|notruf|service client|standard|atencion al cliente|numero verde|"
    r"klantenservice|infolinia|sac)"
)
_OTHER_THINGS = compiled(
    r"(?:order|invoice|ticket|tracking|serial|sku|part|model|isbn|ean|upc|issn|ref(?:erence)?|case|"
    r"version|build|id|batch|article|item|"
    r"bestell(?:ung|nummer)|rechnung|commande|facture|pedido|factura|ordine|fattura|bestelling|"
    r"factuur|zamowienie|faktura|encomenda|timestamps?|epoch|score|range|sequence|sum)"
    r"[a-z]*\.?(?:\s+(?:number|no|nr|num|id|code|nummer|numero|numer))?[\s.:#=]*$"
)
_UNIT = compiled(
    r"^\s?(?:ms|s|sec|seconds?|minutes?|hours?|lines?|bytes?|[kmgt]i?b|km|m|cm|mm|kg|g|users?|people|"
    r"rows?|items?|euros?|dollars?|%|€|\$|points?|votes?|times|steps?|pixels?|px|hz)\b"
)
_AMERICAN = re.compile(r"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d([.-]))[2-9]\d\d[-. ]\d{4}")
_SHORT_AMERICAN = re.compile(r"[2-9]\d\d[ .-]?\d{4}")
_FREE = re.compile(r"(?:\+?1[ .-]*)?\(?0?(?:8(?:0\d|33|44|55|66|77|88)|90\d|18\d)\)?(?!\d)")
"""Codes that are free or dear in one country or another, standing as a group of their own."""
_MOST_PARSED = 400
"""How many numbers are looked at closely. A text with more of them that could be people's is taken to be private."""


def find(passage: Passage, regions: Sequence[str]) -> bool:
    """Whether there is a person's telephone number.

    Args:
        passage: Where to look.
        regions: Countries whose numbers are known without a country code.
    """
    parsed = 0
    for start, end, written in _candidates(passage):
        before = passage.before(start)
        if _OTHER_THINGS.search(before) or _UNIT.search(passage.after(end, 20)):
            continue
        international = written.startswith(("+", "00"))
        usual = _AMERICAN.fullmatch(written) is not None and "US" in regions
        called = _CALLED.search(before) is not None
        if not (international or usual or called or _looks_grouped(written)):
            continue
        parsed += 1
        if parsed > _MOST_PARSED:
            return True
        if _is_persons(
            written, regions, called=called, international=international, usual=usual
        ) and not _PUBLIC.search(passage.around(start, end)):
            return True
    return False


def _candidates(passage: Passage) -> Iterator[tuple[int, int, str]]:
    for match in _CANDIDATE.finditer(passage.text):
        found = match.group().decode()
        start = match.end() - len(found.lstrip())
        glued = passage.text[max(0, start - 1) : start].isalnum()
        if not glued and 7 <= sum(map(str.isdigit, found)) <= 15:
            yield start, match.end(), found.strip()


def _looks_grouped(written: str) -> bool:
    """Whether the digits stand in groups as in a national number: a leading zero, or a code in brackets."""
    return (written.startswith(("0", "(")) and re.search(r"[ /()-]", written) is not None) and "." not in written


def _is_persons(written: str, regions: Sequence[str], *, called: bool, international: bool, usual: bool) -> bool:
    if _is_firms(written, regions):
        return False
    import phonenumbers

    # A group such as (0) after the country's code is read by libphonenumber itself.
    number = "+" + written[2:] if written.startswith("00") else written
    for region in ("ZZ",) if number.startswith("+") else regions:
        try:
            found = phonenumbers.parse(number, None if region == "ZZ" else region)
        except phonenumbers.NumberParseException:
            continue
        if international or called or usual:
            # Numbers set aside for stories are possible and not valid; real ones of new ranges too.
            if phonenumbers.is_possible_number(found):
                return True
        elif phonenumbers.is_valid_number(found) and _as_written_there(found, written):
            return True
    return called and _SHORT_AMERICAN.fullmatch(written) is not None


def _is_firms(written: str, regions: Sequence[str]) -> bool:
    """Whether the one who is called pays, or the caller pays extra: people have no such numbers."""
    import phonenumbers

    kinds = phonenumbers.PhoneNumberType
    firms = (kinds.TOLL_FREE, kinds.PREMIUM_RATE, kinds.SHARED_COST, kinds.UAN)
    if not written.startswith("+") and not _FREE.match(written):
        return False
    for region in regions:
        try:
            if phonenumbers.number_type(phonenumbers.parse(written, region)) in firms:
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _as_written_there(found: object, written: str) -> bool:
    """Whether the groups are those of the country's own way of writing."""
    import phonenumbers

    if not isinstance(found, phonenumbers.PhoneNumber):
        return False
    usual = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.NATIONAL)
    return re.findall(r"\d+", usual) == re.findall(r"\d+", written)
