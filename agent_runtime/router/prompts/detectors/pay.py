"""Statements about a particular person's income, debts and means. Averages and advice are none."""

from __future__ import annotations

from agent_runtime.router.prompts.detectors.people import (
    NAMED,
    NAMES,
    OWN,
    PRONOUN,
    RELATIVE,
    THEIRS,
    without_contractions,
)
from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import compiled

_SUBJECT = (
    r"(?:salar(?:y|ies)|wages?|pay ?(?:check|slip|stub|roll)s?|base pay|net pay|gross pay|take-home|"
    r"income|earnings|compensation|bonus|pension|net worth|credit score|(?:account |bank |"
    r"401k )?balance|401\(?k\)?|"
    r"student (?:debt|loans?)|savings|overdraft|alimony|"
    r"(?:brutto|netto|monats|jahres)?(?:gehalt|lohn|einkommen|verdienst)s?|gehaltsabrechnung|rente|schulden|schufa|"
    r"salaire|bulletin de paie|fiche de paie|revenus?|dettes|traitement mensuel|"
    r"sueldo|salario|nomina|ingresos|deudas?|pension|hipoteca|"
    r"stipendio|busta paga|reddito|debiti|"
    r"salaris|loon(?:strook)?|inkomen|schulden|"
    r"pensj[aieę]\w*|wynagrodzeni\w*|zarobk\w*|pasek wyplaty|dochod\w*|"
    r"salario|holerite|contracheque|renda|dividas?)"
)
_EARN = (
    r"(?:\bi (?:earn|make|get paid|owe|bring home|take home|was paid|am paid)\b|\bi'm paid\b|"
    r"\bich (?:verdiene|bekomme|schulde)\b|\bverdiene ich\b|\bje (?:gagne|touche|dois)\b|"
    r"\b(?:gano|cobro|debo|ganho|recebo|guadagno|percepisco|zarabiam)\b|\bik (?:verdien|krijg)\b|"
    r"\b(?:earns|makes|owes|is paid|verdient|gagne|gana|guadagna|zarabia|ganha)\b)"
)
_I_EARN = compiled(
    r"\bi (?:earn|make|get paid|owe|bring home|take home|was paid|am paid)\b|\bi'm paid\b|"
    r"\bich (?:verdiene|bekomme|schulde)\b|\bverdiene ich\b|\bje (?:gagne|touche|dois)\b|"
    r"\b(?:gano|cobro|debo|ganho|recebo|guadagno|percepisco|zarabiam)\b|\bik (?:verdien|krijg)\b"
)
CUE = rf"\b{_SUBJECT}\b|{_EARN}"

_PLACES = compiled(CUE)
_TOPIC = compiled(rf"\b{_SUBJECT}\b")
_THEY_EARN = compiled(
    rf"(?:{RELATIVE}|{NAMED}|{PRONOUN}|(?-i:\b[A-Z][a-z]+ [A-Z][a-z]+))\s+(?:currently |now |"
    rf"only )?(?:earns|makes|owes|is paid|verdient|gagne|gana|guadagna|zarabia|ganha)\b"
)
_WHOSE = compiled(
    rf"{OWN}|{THEIRS}|{NAMED}|{NAMES}|\b(?:employee|mitarbeiter(?:in)?|salarie|empleado|dipendente|"
    rf"werknemer|pracownik)\b|\bi have\b|\bich habe\b"
)
_AMOUNT = compiled(
    r"(?:[$€£¥₹]|usd|eur|gbp|chf|pln|zl|brl|r\$)\s?\d|\b\d{1,3}(?:[.,' ]\d{3})+|\b\d{4,}\b|"
    r"\b\d+(?:[.,]\d+)?\s?k\b|\b\d[\d.,]*\s?(?:euros?|dollars?|pounds?|francs?|zl\w*|reais|usd|eur|"
    r"gbp|pln|chf|%|lakh|million|€|\$|£)|"
    r"\b(?:thousand|hundred|tausend|mille|mil|tysiecy|duizend|million)\b"
)
_SCORE = compiled(r"\bcredit score\b.{0,20}\b[3-8]\d\d\b|\bschufa\b.{0,25}\d")
_IN_GENERAL = compiled(
    r"\b(?:average|median|typical|minimum wage|per capita|national|durchschnitt\w*|mindestlohn|"
    r"moyen(?:ne)?|en moyenne|medio|media|promedio|gemiddeld\w*|sredni\w*|przecietn\w*|medi[oa]|"
    r"statistic\w*|"
    r"(?:company|firm|city|country|state|government|start-?up|club|business|team|book|band|"
    r"industry)(?:'s|\s)?\s?(?:income|debts?|earnings|revenue|savings|pension|salar\w+|wages?|"
    r"balance)|income tax (?:on|for|rate)|income statement|revenue|ebitda|how much (?:does|do|"
    r"did) (?:a|an|the)|hypothetical\w*|"
    r"fictional)\b"
)
_RECORD = compiled(
    r"\b(?:payslip|pay ?stub|pay slip|gehaltsabrechnung|lohnabrechnung|bulletin de paie|fiche de paie|"
    r"nomina|busta paga|loonstrook|holerite|contracheque)\b.*\d{3}"
)


def find(passage: Passage) -> bool:
    """Whether something is told of a particular person's income, debts or means."""
    return any(_tells(without_contractions(sentence)) for sentence in passage.sentences(_PLACES))


def _tells(sentence: bytes) -> bool:
    if _RECORD.search(sentence) or (_SCORE.search(sentence) and _WHOSE.search(sentence)):
        return True
    if not _AMOUNT.search(sentence) or _IN_GENERAL.search(sentence):
        return False
    if _I_EARN.search(sentence) or _THEY_EARN.search(sentence):
        return True
    return _TOPIC.search(sentence) is not None and _WHOSE.search(sentence) is not None
