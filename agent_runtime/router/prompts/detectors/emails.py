"""E-mail addresses of people, written as they are or spelled out. Addresses of offices are nobody's."""

from __future__ import annotations

from agent_runtime.router.prompts.detectors.people import OWN
from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import any_of, compiled, listed

_AT = r"(?:at|arobase|arroba|chiocciola|apenstaartje|malpa|klammeraffe)"
_DOT = r"(?:dot|punkt|point|punto|ponto|kropka|punt)"
CUE = rf"@|\(at\)|\[at\]|\{{at\}}|<at>|\b{_AT}\s+[a-z0-9-]+\s*[\[(<]?\s*(?:{_DOT}\b|\.)"

_TLDS = any_of(
    listed(
        "com org net edu gov mil int info biz name io ai dev app me co tv de at ch fr es it nl pl pt br "
        "uk us ca eu be se no dk fi "
        "ie cz sk hu ro gr tr ru ua in jp cn kr au nz za mx ar cl il ae sg hk xyz online cloud tech "
        "email health law"
    )
)
_OPEN, _CLOSE = r"\s*[\[({<]\s*", r"\s*[\])}>]\s*"
_WRITTEN = compiled(r"\b([a-z0-9._%+'-]{1,64})\s?@\s?((?:[a-z0-9-]{1,63}\s?\.\s?){1,6}[a-z]{2,24})\b")
_BRACKETED = compiled(
    rf"\b([a-z0-9._%+-]{{1,64}})(?:{_OPEN}(?:at|@){_CLOSE}|\s*@\s*|\s{{1,3}}at\s{{1,3}})"
    rf"[a-z0-9-]{{1,63}}(?:{_OPEN}(?:dot|\.){_CLOSE}[a-z0-9-]{{1,63}}){{1,5}}"
)
_BRACKETED_AT = compiled(
    rf"\b([a-z0-9._%+-]{{1,64}}){_OPEN}(?:at|@){_CLOSE}[a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}}){{1,5}}"
)
_SPOKEN = compiled(
    rf"\b([a-z0-9._+-]{{1,64}})\s{{1,3}}{_AT}\s{{1,3}}([a-z0-9-]{{1,63}})(?:\s{{1,3}}{_DOT}\s{{1,3}}[a-z0-9-]{{1,63}}){{0,3}}"
    rf"(?:\s{{1,3}}{_DOT}\s{{1,3}}|\s?\.\s?){_TLDS}\b"
)
_OFFICES = frozenset(
    listed(
        "support info sales contact help helpdesk noreply no-reply donotreply do-not-reply hello admin "
        "administrator webmaster "
        "postmaster hostmaster abuse security press media jobs careers hr billing office service "
        "customerservice feedback "
        "newsletter marketing privacy legal team enquiries inquiries kontakt contacto contatto contato "
        "git root user username "
        "foo bar someone somebody test tests you your your.name yourname email mail xxx abc "
        "firstname.lastname first.last "
        "postfach buchhaltung vertrieb bestellung biuro redaktion"
    )
)
_NOT_NAMES = frozenset(
    listed(
        "look is are was were found hosted available page site website visit live lives read us it here more buy sold "
        "me meet arrive stay located listed docs see available's works work that this them everything"
    )
)
_NO_DOMAINS = frozenset(
    listed(
        "png jpg jpeg gif svg webp ico js ts py rb go rs css scss json md html txt local internal lan "
        "localhost cluster svc "
        "invalid prod staging"
    )
)


_OWN = compiled(rf"{OWN}|\b(?:his|her|me|him)\b")
"""Words by which even an address like an office's is somebody's."""


def find(passage: Passage) -> bool:
    """Whether there is a person's e-mail address."""
    for match in _WRITTEN.finditer(passage.text):
        local = match.group(1).decode().strip(".'-%+").lower()
        top = match.group(2).decode().rpartition(".")[2].strip().lower()
        known = local not in _OFFICES or _OWN.search(passage.before(match.start(), 30)) is not None
        if local and known and top not in _NO_DOMAINS:
            return True
    for pattern in (_BRACKETED, _BRACKETED_AT):
        if any(match.group(1).decode().lower() not in _OFFICES - {"me"} for match in pattern.finditer(passage.text)):
            return True
    return any(match.group(1).decode().lower() not in _NOT_NAMES for match in _SPOKEN.finditer(passage.text))
