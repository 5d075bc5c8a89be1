"""Words by which a sentence speaks of a particular person, in eight languages, in plain letters."""

from __future__ import annotations

import re

from agent_runtime.router.prompts.patterns import any_of, listed

OWN = (
    r"\b(?:my|our|mein(?:e[rnms]?)?|unser(?:e[rnms]?)?|mon|ma|mes|notre|mis?|nuestr[oa]|mi[oa]|miei|"
    r"mie|mijn|onze|moj(?:a|e|ego|ej)?|meus?|minhas?)\b"
)
"""My, in every language."""

THEIRS = (
    r"\b(?:his|her|their|your|sein(?:e[rnms]?)?|ihr(?:e[rnms]?)?|ses|leur|suo|sua|zijn|haar|jego|jej|"
    r"seu|dele|dela|votre|vuestr[oa])\b"
)

_TITLES = listed(
    r"mr mrs ms miss herr frau hr mme mlle monsieur madame sr sra senora? sig signora? dhr mevr(?:ouw)? meneer pani? "
    r"dona? patient(?:in|e|s|'s)? pacjent(?:ka|ki|"
    r"a)? paciente paziente client(?:e)? employee applicant tenant customer "
    r"mitarbeiter(?:in)? employe(?:e)? empleado empregado dipendente werknemer pracownik name"
)
NAMED = rf"\b{any_of(_TITLES)}\b\.?:?,?\s{{1,2}}(?:[a-z]{{2,4}}\.?\s)?(?-i:[A-Z][a-z.]*)"
"""A title or role with a name after it."""

NAMES = r"(?-i:\b[A-Z][a-z]{1,20}(?: [A-Z][a-z]{1,20}){0,2}'s\b)"
"""A name in the genitive: also `Today's` and `What's`, so it proves nothing alone."""

_RELATIVES = listed(
    # en
    r"wife husband partner spouse son daughter child kid mother father mum mom dad parents? brother "
    r"sister aunt uncle "
    r"grand(?:mother|father|ma|pa|son|"
    r"daughter) boyfriend girlfriend boss manager colleague coworker co-worker friend "
    r"neighbou?r roommate flatmate student employee patient client tenant landlord nephew niece cousin "
    # de
    r"frau mann mutter vater sohn tochter kind bruder schwester oma opa chef(?:in)? kollege kollegin "
    r"freund(?:in)? nachbar(?:in)? "
    # fr
    r"mari femme mere pere fils fille enfant frere soeur patronne? collegue amie? voisine? conjointe? "
    # es, pt
    r"marido esposa? esposo mujer madre padre hij[oa] herman[oa] jef[ea] amig[oa] vecin[oa] mae pai "
    r"filh[oa] irma irmao chefe "
    # it
    r"moglie marito figli[oa] fratello sorella nonn[oa] capo collega amic[oa] "
    # nl
    r"vrouw man moeder vader zoon dochter broer zus(?:ter)? baas vriend(?:in)? buurman buurvrouw "
    # pl
    r"zon[ay] maz matk[ai] ojciec syn cork[ai] brat siostr[ay] szef(?:owa)? kolega kolezanka przyjaciel"
)
RELATIVE = rf"(?:{OWN}|{THEIRS})\s+(?:[a-z0-9-]+\s+)?{any_of(_RELATIVES)}(?:'s)?\b"
"""Somebody's relative, friend or colleague."""

_CONTRACTIONS = re.compile(
    rb"\b(?:what|it|that|there|here|who|where|how|let|when|why|today|tomorrow|yesterday|world|women|"
    rb"men|mother|father|"
    rb"children|everyone|somebody|company|country|city|alzheimer|parkinson|crohn|hodgkin|hashimoto)'s\b",
    re.I,
)


def without_contractions(sentence: bytes) -> bytes:
    """A sentence without what has a genitive's form and is nobody's name: what's, today's, Parkinson's."""
    return _CONTRACTIONS.sub(lambda match: match[0][:-2], sentence) if b"'s" in sentence else sentence


PRONOUN = r"\b(?:he|she|hij|zij|elle|ele|ela|lui|lei)\b"
