"""Postal addresses of people: a street with a number, and a postcode or words that say that somebody lives there."""

from __future__ import annotations

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import compiled

_NAME = r"(?-i:[A-Z][A-Za-z'.-]{1,25})"
_ENGLISH = (
    rf"\b\d{{1,5}}[A-Za-z]?,?\s(?:(?:north|south|east|west|n|s|e|"
    rf"w)\.?\s)?(?:{_NAME}\s){{1,4}}(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|court|ct|close|"
    rf"boulevard|blvd|way|terrace|place|pl|"
    r"square|sq|crescent|gardens?|row|hill|circle|cir|highway|hwy|parkway|pkwy|mews|grove|walk|trail|"
    r"trl|loop|green|park|rise|view|wharf|quay)\b"
)
_GERMANIC = (
    r"(?-i:[A-Z])[A-Za-z.-]{1,30}(?:strasse|str\.|weg|platz|gasse|allee|ring|ufer|damm|straat|gracht|"
    r"laan|plein|kade|dijk|singel|steeg)\s\d{1,4}\s?[a-z]?\b|"
    rf"\b(?:am|an der|auf dem|im|in der|zum|alte|neue|grosse|kleine)\s{_NAME}(?:\s(?:strasse|weg|platz|"
    rf"gasse))?\s\d{{1,4}}\s?[a-z]?\b"
)
_ROMANCE = (
    r"(?:\b(?:\d{1,4}(?:\s?(?:bis|ter))?,?\s)?(?:rue|avenue|av|avda|boulevard|bd|place|chemin|impasse|"
    r"allee|quai|calle|avenida|plaza|paseo|ronda|camino|via|viale|piazza|corso|vicolo|largo|rua|"
    r"travessa|alameda|estrada|praca|"
    rf"ulica|ulicy|aleja|osiedle)\s|\b(?:c/|av\.|avda\.|ul\.|al\.|os\.)\s?)(?:(?:de|du|des|la|las|los|"
    rf"le|les|l'|del|della|di|do|da|das|dos|d')\s?){{0,2}}(?:{_NAME}|\d{{1,2}})(?:\s(?:de|da|do|di|"
    rf"la)?\s?{_NAME}){{0,3}}"
)
_STREET = rf"(?:{_ENGLISH})|(?:{_GERMANIC})|(?:{_ROMANCE})"
CUE = (
    r"\d[A-Za-z]?,?\s[A-Za-z'. -]{2,60}\b(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|court|ct|"
    r"close|boulevard|blvd|way|terrace|place|pl|square|sq|crescent|gardens?|row|hill|circle|cir|"
    r"highway|hwy|parkway|pkwy|mews|grove|walk|trail|trl|loop|green|park|rise|view|wharf|quay)\b|"
    r"(?:strasse|str\.|weg|platz|gasse|allee|ring|ufer|damm|straat|gracht|laan|plein|kade|dijk|singel|"
    r"steeg)\s\d|"
    r"\b(?:rue|avenue|av\.?|avda\.?|boulevard|bd|place|chemin|impasse|allee|quai|calle|c/|avenida|"
    r"plaza|paseo|ronda|camino|via|viale|piazza|corso|vicolo|largo|rua|travessa|alameda|estrada|praca|"
    r"ul\.|ulica|ulicy|al\.|aleja|os\.|osiedle)\s?[a-z']|"
    r"\b(?:am|an der|auf dem|im|in der|zum|alte|neue|grosse|kleine)\s[a-z.-]+(?:\s[a-z]+)?\s\d|"
    r"\b(?:prinsen|keizers|heren)gracht\b|\bp\.?\s?o\.? box \d|\bpostfach \d"
)

_PLACE = compiled(_STREET)
_POSTCODE = compiled(
    r"(?-i:\b[A-Z]{2}),?\s\d{5}(?:-\d{4})?\b|(?-i:\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b)|"
    r"(?-i:\b[A-Z]\d[A-Z]\s?\d[A-Z]\d\b)|\b(?:[A-Z]{1,2}-)?\d{4,5}\s(?-i:[A-Z])|"
    r"\b\d{4}\s?(?-i:[A-Z]{2})\b|\b\d{2}-\d{3}\b|\b\d{5}-\d{3}\b|\b\d{4}-\d{3}\b"
)
_LIVES = compiled(
    r"\b(?:i live|live at|lives at|living at|my (?:new |home |current )?address|home address|(?:his|"
    r"her|their) address|ship(?:ping)?(?: it)? to|deliver(?: it)? to|mail(?: it)? to|send(?: it)? to|"
    r"moved to|reside|resident|address is|"
    r"ich wohne|wohnt|wohnhaft|meine adresse|anschrift|j'habite|habite|mon adresse|domicilie|"
    r"demeurant|vivo en|vive en|mi direccion|domicilio|abito|abita|il mio indirizzo|residente|ik woon|"
    r"woont|mijn adres|woonachtig|"
    r"mieszkam|mieszka|moj adres|zamieszkal\w*|moro|mora n[ao]|meu endereco|minha morada|resido|"
    r"mr|mrs|ms|herr|frau|mme|flat|apartment|apt|apto|unit)\b"
)
_OFFICIAL = compiled(
    r"\b(?:museum|headquarters?|hq|embassy|hotel|restaurant|library|stands at|tower|building|landmark|"
    r"monument|stadium|theatre|theater|cathedral|university|city hall|town hall|airport|station|store|"
    r"branch|opened|"
    r"hauptsitz|firmensitz|rathaus|botschaft|siege social|ambassade|mairie|sede|embajada|ayuntamiento|"
    r"muzeum|urzad|hoofdkantoor|gemeentehuis|museu|museo|musee|prefeitura|white house|empire state)\b"
)
_NUMBERED = compiled(r"\d")
_REACH_BYTES = 90


def find(passage: Passage) -> bool:
    """Whether there is a person's postal address."""
    for match in passage.places(_PLACE):
        near = match.group() + b" " + passage.after(match.end(), _REACH_BYTES)
        before = passage.before(match.start(), _REACH_BYTES)
        if not _NUMBERED.search(near[: len(match.group()) + 12]):
            continue
        if _LIVES.search(before + b" " + near):
            return True
        if _POSTCODE.search(
            passage.before(match.start(), 25) + b" " + near[len(match.group()) :]
        ) and not _OFFICIAL.search(before + near):
            return True
    return False
