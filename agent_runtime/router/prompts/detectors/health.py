"""Statements about a particular person's health. A question about an illness is none.

A sentence counts that has a word for an illness or a treatment and says whose it is: a patient with a name, a
relative, or the writer's own, in words that state it (I have, I was diagnosed with). Letters about research, essays
and the like, and questions in general, do not count.
"""

from __future__ import annotations

from agent_runtime.router.prompts.detectors.people import NAMED, NAMES, OWN, PRONOUN, RELATIVE, without_contractions
from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import compiled

_ILLNESSES = (
    r"diabet\w* cukrzyc\w* (?:hiv|"
    r"aids)\b hiv[- ]?positi\w* hepati\w* epilep\w* as[t]?h?m[aey]\w* alzheimer\w* parkinson\w* dement\w* demenc\w* "
    r"leuk[ae]\w* leucemi\w* lymphom\w* tumou?r\w* carcino\w* metasta\w* krebs\w* brustkrebs \w+krebs "
    r"cancer\w* cancr\w* kanker\w* nowotw\w* raka \w+kanker "
    r"schizo\w* bipolar\w* autis\w* adhd\b ad/hd adhs\b tdah\b ptsd\b ocd\b anorexi\w* bulimi\w* "
    r"psychos\w* psychot\w* "
    r"hyperten\w* hiperten\w* ipertens\w* nadcisnien\w* bluthochdruck cholesterol\w* arthrit\w* "
    r"artret\w* artrit\w* rheuma\w* reuma\w* "
    r"scleros\w* sklero\w* stwardnieni\w* esclerosis esclerose lupus crohn\w* colitis celiac coeliac "
    r"zoliakie endometrios\w* "
    r"herpes chlamydia\w* gonorrh\w* syphilis tubercul\w* tuberkul\w* pneumoni\w* covid\w* sepsis "
    r"cirrho\w* cirros\w* zirrhos\w* marskosc "
    r"infarct\w* infarkt\w* infarto\w* zawal\w* (?:heart (?:attack|failure|disease)|herzinfarkt|"
    r"herzinsuffizienz) schlaganfall\w* udar\w* beroerte avc\b ictus "
    r"arrhythm\w* fibrillation angina\b an[ae]mi\w* thrombos\w* embolism kidney (?:disease|failure|"
    r"stones?) nier\w+insuffizienz dialy[sz]\w* "
    r"miscarr\w* fehlgeburt stillb\w+ lost\s(?:her|his|our|the|"
    r"a)\sbaby abort\w* pregnan\w* schwanger\w* enceinte embarazad\w* incinta zwanger w ciazy gravida\b "
    r"allerg\w* alerg\w* migr(?:ai|a|ae)n\w* migren\w* eczema psoriasis glaucom\w* infertil\w* alcoholi\w* addict\w* "
    r"depressi\w* depresj\w* depresi\w* depresyw\w* anxiety angststorung\w* ansiedad ansiedade ansia "
    r"burn-?out panic attacks? suicid\w* self-harm"
)
_TREATMENTS = (
    r"insulin\w* metformin\w* sertralin\w* fluoxetin\w* prozac lithium lisinopril warfarin\w* "
    r"methotrexat\w* metotrexat\w* ritalin\w* chemo\w* quimio\w* chimio\w* "
    r"radiotherap\w* antidepress\w* antydepres\w* dialys\w* antiretroviral\w* statins? ozempic xanax "
    r"keppra levothyroxin\w* albuterol "
    r"oxycodon\w* methadon\w* prednison\w* ibuprofen penicillin\w* \d+\s?(?:mg|mcg|ug|ie|"
    r"iu)\b hba1c creatinine troponin\w* blood (?:type|pressure|sugar|test) "
    r"biops\w* mastectom\w* \w+ectomy\b chest pain"
)


def _terms(*lists: str) -> str:
    """The expressions of the lists; several words stand in brackets or with a blank written as ``\\s``."""
    joined = " ".join(lists)
    for phrase in (
        "kidney (?:disease|failure|stones?)",
        "blood (?:type|pressure|sugar|test)",
        "(?:heart (?:attack|failure|disease)|herzinfarkt|herzinsuffizienz)",
        "w ciazy",
        "panic attacks?",
        "chest pain",
    ):
        joined = joined.replace(phrase, phrase.replace(" ", r"\s"))
    return "|".join(joined.split())


_SUBJECT = rf"\b(?:{_terms(_ILLNESSES, _TREATMENTS)})"
_VAGUE = (
    r"\b(?:stroke|ill|sick|surgery|operation|cancer|condition|disorder|disease|illness|injury|"
    r"medication|tablets?|therapist|psychiatrist|positive|negative|disabled|disability|pflegegrad|"
    r"autoimmun\w*)\b"
)
_DIAGNOSED = (
    r"\b(?:diagnosed|diagnostiz\w*|festgestellt|diagnostiqu\w*|diagnostic[ao]\w*|diagnosticaron|"
    r"diagnosticat\w*|gediagnosticeerd|zdiagnozowan\w*|rozpoznano|"
    r"admitted (?:with|for|to)|tested positive|test came back|prescribed|underwent|hospitali[sz]ed|"
    r"being treated|treated for)\b"
)
CUE = (
    rf"{_SUBJECT}|{_VAGUE}|{_DIAGNOSED}|\b(?:mrn|dx|rx|diagnos\w*|rozpoznanie|discharge summary|"
    rf"history of|h/o|allergies|medications?)\b"
)

_PLACES = compiled(CUE)
_TOPIC = compiled(_SUBJECT)
_VAGUE_TOPIC = compiled(_VAGUE)
_DIAGNOSIS = compiled(_DIAGNOSED)
_I_STATE = compiled(
    r"(?:^|[^a-z])(?:i|i've|i'm|i'd)\s+(?:(?:just|also|recently|still|have|has|had|am|'m|currently|"
    r"now)\s+)*(?:have|had|got|am|was|been|take|took|suffer|live with|need|use|being|on)\b|"
    r"\bi'm\b|\bi've (?:had|been|got)\b|"
    r"\bich (?:habe|hatte|bin|leide|nehme|bekomme|war|wurde)\b|\bhabe ich\b|\bnehme ich\b|\bj'ai\b|"
    r"\bje (?:suis|souffre|prends)\b|"
    r"\b(?:tengo|padezco|sufro|tomo|estoy|me (?:diagnosticaron|han diagnosticado|operaron)|fui diagnosticad[oa])\b|"
    r"\b(?:soffro|prendo|sono (?:affett[oa]|diabetic[oa]|incinta|malat[oa])|ho (?:il|la|l'|un|una|avuto))\b|"
    r"\bik (?:heb|had|ben|slik|gebruik|lijd)\b|\b(?:choruje|cierpie|jestem|biore|mam|zdiagnozowano u mnie)\b|"
    r"\b(?:tenho|sofro|estou|fui diagnosticad[oa]|sou)\b"
)
_SOMEBODY = compiled(
    rf"{RELATIVE}|{NAMED}|{OWN}\s+(?:{_terms(_ILLNESSES, _TREATMENTS)})|{PRONOUN}(?:'s|\s+is)\b|"
    rf"{PRONOUN}\s+(?:is|has|had|was|takes|suffers|heeft|is|a|est|tem|ha)\b|{NAMES}\s|"
    r"\b(?:patient|paciente|paziente|pacjent|pacjentka|patientin|patiente)\s*(?:[:,]|(?-i:[A-Z])|is\b|"
    r"was\b|has\b|had\b|with\b|presents|\d)|"
    r"\bbei (?:frau|herrn|meiner|meinem)\b|\b(?:her|his) (?-i:[a-z])|"
    rf"{OWN} (?:blood|lab|hba1c|test|results?|doctor|therapist|psychiatrist|diagnosis|illness|disease|"
    rf"condition|arzt|arztin|therapeut\w*|medecin|medico|lekarz|dokter|antecedents|depression|"
    rf"allerg\w*|krankheit|\w+krebs|cancer|diabetes|asthma|anxiety|epilepsy|hiv)"
)
_RECORD = compiled(
    r"\b(?:dx|rx|diagnos[ei]s?|diagnostic[oa]?|rozpoznanie|medications?|allergies|discharge summary|"
    r"history of|h/o)\s*[:=]\s*\S|"
    r"\bmrn\b\W{0,4}(?:no\.?|number)?\W{0,3}\d{4,}|\bdischarge summary\b.{1,80}\d"
)
_AGED = compiled(
    r"\b(?:mr|mrs|ms|patient|pt)\b\.?\s(?-i:[A-Z])\S*(?: (?-i:[A-Z])\S*)?,? \(?\d{1,3}\b|"
    r"\b\d{1,3}[- ]?(?:yo|y/o|year[- ]old)\b|\b\d{1,2} weeks pregnant\b"
)
_IN_GENERAL = compiled(
    r"\b(?:essay|article|presentation|thesis|homework|exam|quiz|lecture|course|blog|podcast|novel|"
    r"story|character|movie|book|poem|dataset|app|startup|"
    r"question about|interested in|curious about|research\w*|paper (?:on|about)|write about|learn\w* about|class|"
    r"studying|aufsatz|referat|dissertation|redaction|ensayo|articulo|tema|saggio|artykul|artigo|"
    r"opstel)\b"
)

_KIN = compiled(
    rf"{RELATIVE}\s+(?:\(|has|had|is|was|suffers|needs|takes|hat|hatte|ist|a\b|ha\b|tem|ma\b|heeft)|"
    rf"{PRONOUN} (?:is|had|has) (?:a stroke|ill|disabled|hiv)"
)


def find(passage: Passage) -> bool:
    """Whether something is told of a particular person's health."""
    return any(_tells(without_contractions(sentence)) for sentence in passage.sentences(_PLACES))


def _tells(sentence: bytes) -> bool:
    if _RECORD.search(sentence):
        return True
    firm = _TOPIC.search(sentence) is not None
    diagnosed = _DIAGNOSIS.search(sentence) is not None
    if not firm and not diagnosed and not _VAGUE_TOPIC.search(sentence):
        return False
    if firm and _AGED.search(sentence):
        return True
    told = firm or diagnosed
    whose = _SOMEBODY.search(sentence) is not None and (told or _KIN.search(sentence) is not None)
    whose = whose or (told and _I_STATE.search(sentence) is not None)
    return whose and not _IN_GENERAL.search(sentence)
