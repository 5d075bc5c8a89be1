"""Passwords and other secrets, by the words that introduce them, and by what stands where a secret would.

`password: hunter2` is one; `password: str`, `password=<yours>` and "my password is wrong" are none.
"""

from __future__ import annotations

import re

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import any_of, compiled, listed

_SECRETS = (
    r"pass ?words?",
    r"passwd",
    r"pass ?code",
    r"pwd",
    r"pass ?phrase",
    r"pass",
    r"pw",
    r"passwor(?:t|ter)",
    r"(?:wlan-?|wifi-?)?(?:passwort|kennwort|schlussel|zugangscode)",
    r"mot de passe",
    r"mdp",
    r"code secret",
    r"contrasena",
    r"clave(?: secreta)?",
    r"parola d'ordine",
    r"wachtwoord",
    r"haslo",
    r"senha",
    r"palavra-passe",
    r"secret",
    r"pin(?: ?code| number| ?nummer)?",
    r"geheimzahl",
)
_KEYS = (
    r"(?:api|access|secret|private|client|auth|account|encryption|signing|license|subscription|master|"
    r"shared)[ _-]?(?:access[ _-]?)?(?:key|secret|token)",
    r"api[ _-]?schlussel",
    r"secret",
    r"token",
    r"apikey",
    r"bearer",
    r"client[ _-]?secret",
)
_OTHERS = (
    r"seed phrase",
    r"recovery (?:phrase|codes?|key)",
    r"mnemonic",
    r"backup codes?",
    r"otp",
    r"one[- ]time (?:password|code|pin)",
    r"verification code",
    r"2fa(?: backup)? codes?",
    r"security (?:answer|code)",
    r"maiden name",
    r"(?:door|alarm|gate|safe|entry) code",
    r"combination",
    r"tan",
)
CUE = (
    rf"(?:\b|_){any_of((*_SECRETS, *_OTHERS))}\b|{any_of(_KEYS)}|://[^\s/@]*:[^\s/@]*@|PRIVATE KEY|\bcredentials?\b|"
    rf"\bauthorization\b|\s-u\s|"
    r"[a-z]pass(?:word|wd)?\b|--pass|--token"
)

_PEM = compiled(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_URL = compiled(r"[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"'<>]*:([^\s/@\"']+)@")
_CURL = compiled(r"\s(?:-u|--user)[ =]['\"]?[^\s:'\"]+:([^\s'\"]+)")
_OPTION = compiled(r"--(?:password|passwd|pass|token|secret|api-key)[ =]['\"]?([^\s'\"]+)")
_HEADER = compiled(r"authorization['\"]?\s{0,3}[:=]\s{0,3}['\"]?(?:basic|bearer|token)\s{1,3}([A-Za-z0-9._~+/=-]{8,})")
# The name of a secret, at most a quotation mark, what says "is", and the secret.
_ASSIGNED = compiled(
    rf"(?:\b|_|"
    rf"[a-z])(?:{any_of((*_SECRETS, *_KEYS))})(?:[_-]?(?:prod|dev|test|staging|live|value|"
    rf"[0-9]{{1,3}}))?['\"\])]{{0,2}}\s{{0,4}}(?::=|"
    rf"=>|[:=])\s{{0,4}}(['\"]?[^\s'\",;]{{1,200}})"
)
_SAID = compiled(
    rf"(\b[a-z']+\s+)?(?:[a-z]+\s+)?\b(?:{any_of((*_SECRETS, *_KEYS))})\b(?:\s+(?:for|to|of|del|della|du|de|do|da|"
    rf"dla|fur|zum|van|het|the|my|our|meine[mnr]?|komputera)\b){{0,2}}"
    rf"(?:\s+[a-z0-9_.-]+){{0,2}}?\s+(?:is|was|are|lautet|ist|est|es|e|to|jest|ligt|=|-|"
    rf"->)\s+['\"]?([^\s'\"]{{3,100}})"
)
_PLAIN_WORD = compiled(
    rf"\b(?:user|username|login|benutzer|utilisateur|"
    rf"usuario)\b.{{1,60}}\b(?:{any_of(_SECRETS)})\s+['\"]?([^\s'\"]{{4,100}})"
)
_OTHER = compiled(
    rf"\b{any_of(_OTHERS)}\b(?:\s+(?:is|are|was)|\s*[:=])\s+['\"]?([^\s'\"]+)((?:\s+[a-z]{{3,8}}\b){{0,24}})"
)
_PAIR = compiled(
    r"\bcredentials?\b\s*(?:are|is|:|=)\s*\S{1,60}\s*[/:,]\s*(\S{4,100})|\bbearer\s+([a-z0-9._~+/=-]{16,})"
)
_KEY = compiled(any_of(_KEYS))
_OWN = re.compile(r"^(?:my|our|his|her|mein|unser|mon|notre|mi|mijn|moje|minha|nuestra|mia)$", re.I)
_NOT_SECRETS = frozenset(
    listed(
        "str string text int integer bool boolean none null nil true false undefined required optional "
        "password passwd pwd pass secret token key "
        "value input field example sample changeme change-me your yours yourpassword your_password "
        "mypassword placeholder redacted hidden "
        "wrong right correct incorrect strong weak safe secure insecure too not no so very expired "
        "forgotten lost stored hashed encrypted reset "
        "needed missing invalid valid empty blank the a an in on at with about used being never always "
        "only just also case long short enough what "
        "how why where when this that it i we you if and or to for from of as by asked sent saved shared "
        "accepted rejected refused working "
        "notwendig falsch richtig sicher zu nicht vergessen abgelaufen stark schwach leer faux "
        "incorrecte correct trop oublie incorrecta segura "
        "demasiado sbagliata corretta sicura troppo verkeerd veilig te vergeten bledne zle bezpieczne za "
        "errada segura muito incorreta "
        "admin default unknown unset is es ein une una un een jest set type name function const let var "
        "async await import self props"
    )
)
_PLACEHOLDER = re.compile(
    r"""^['"]?(?:<|\$|%\(|%[A-Z_]+%|\{\{|\{[a-z_]+\}|\[|\(|\*{3,}|x{3,}|\.{3}|your[_-]|my[_-]|insert|enter|replace|todo|os\.|env[.(\[]|process\.|getpass|getenv|
    config|settings|secrets\.|vault|request\.|self\.|this\.|args\.|data\.|form\.|user\.|params|input\(|field\(|=|str\b|\||&|/|\\|-+$)""",
    re.I | re.X,
)
_CODE_CALL = re.compile(
    r"^[a-z_]+(?:\.[a-zA-Z_]+)+;?$|^[A-Za-z_][\w.]*[(\[]|^[a-z]+(?:[A-Z][a-z]+)+$|^[a-z]+(?:_[a-z]+)+$"
)
_PARTICIPLE = re.compile(r"(?:ed|ing|ly|able|ible)$")


def find(passage: Passage) -> bool:
    """Whether a secret is told."""
    text = passage.text
    if _PEM.search(text):
        return True
    for pattern in (_URL, _CURL, _OPTION, _HEADER, _ASSIGNED):
        if any(_is_value(_string(match.group(1))) for match in passage.places(pattern)):
            return True
    for match in passage.places(_SAID):
        value = _string(match.group(2))
        # Passwords may be all digits; a token or key "is 4096" where its count or size is meant.
        counted = value.strip(".,;:!?)").isdigit() and _KEY.search(match.group()) is not None
        if not counted and _is_said(_string(match.group(1) or b"").strip(), value):
            return True
    for pattern in (_PLAIN_WORD, _PAIR):
        for match in passage.places(pattern):
            if any(_looks_random(_string(group)) for group in match.groups() if group):
                return True
    return any(
        _looks_random(_string(match.group(1)))
        or len(match.group(2).split()) >= 10
        or b"answer" in match.group().lower()
        or (b"maiden" in match.group().lower() and _is_value(_string(match.group(1))))
        for match in passage.places(_OTHER)
    ) or _pin(passage)


_PIN_LABEL = compiled(
    r"\b(?:pin|pin ?code|pin number|geheimzahl|otp|tan|passcode|2fa(?: backup)? codes?|backup codes?|"
    r"(?:door|alarm|gate|safe|entry|verification|security|one[- ]time) (?:code|pin))\b"
)
_PIN = re.compile(
    r"^(?:\s+(?:for|to|of|on|fur|du|de|del|della|van|do)\s[a-z ]{1,30}?)?\s*(?:is|are|was|:|=|ist|"
    r"lautet|est|es|e|jest)\s*\d{4,8}(?!\d)",
    re.I,
)


def _pin(passage: Passage) -> bool:
    return any(_PIN.match(rest) for _, rest in passage.following(_PIN_LABEL))


def _string(value: bytes) -> str:
    return value.decode("utf-8", "ignore")


def _is_value(written: str) -> bool:
    """Whether what is assigned is a secret and neither a placeholder nor code."""
    value = written.strip("'\"`.,;)")
    if len(value) < 4 or value.lower() in _NOT_SECRETS or _PLACEHOLDER.match(written):
        return False
    quoted = written[:1] in "'\""
    return quoted or not _CODE_CALL.match(value)


def _is_said(owner: str, written: str) -> bool:
    """Whether what a sentence says of a password is the password."""
    value = written.rstrip(".,;:!?)")
    if not value or value.lower() in _NOT_SECRETS or _PLACEHOLDER.match(written):
        return False
    if _looks_random(value):
        return True
    # "My password is swordfish" tells it; "the password is case-sensitive" tells about it.
    return (
        _OWN.match(owner) is not None and len(value) >= 5 and value.isalpha() and not _PARTICIPLE.search(value.lower())
    )


def _looks_random(written: str) -> bool:
    """Whether it has what words have not: digits, signs or capitals among letters."""
    value = written.rstrip(".,;:?)")
    if len(value) < 4 or value.lower() in _NOT_SECRETS or _PLACEHOLDER.match(written) or _CODE_CALL.match(value):
        return False
    kinds = (
        any(c.isdigit() for c in value),
        any(c.islower() for c in value),
        any(c.isupper() for c in value[1:]),
        any(not c.isalnum() and c not in "-'" for c in value),
    )
    return sum(kinds) >= 2 or (kinds[0] and len(value) >= 4)
