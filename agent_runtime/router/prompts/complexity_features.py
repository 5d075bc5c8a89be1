"""What a prompt asks for, as numbers that a linear model can weigh. In eight languages, by stems of plain words."""

from __future__ import annotations

import math
import re
from itertools import islice

from agent_runtime.router.prompts.patterns import PatternSet, compiled
from agent_runtime.router.prompts.plain import plain
from agent_runtime.router.prompts.texts import Texts

_LONGEST_LOOKED_AT = 6_000
"""Characters of the last turn that are looked at: its beginning and its end, where people say what they want."""

_PROVE = (
    r"\b(?:prove|proof (?:that|of)|show that|derive|derivation|deduce|demonstrate (?:that|formally)|"
    r"disprove|counterexample|lemma|theorem|by induction|"
    r"beweis\w*|leite?n? .{0,60} her\b|herleit\w*|zeige,? dass|demontre\w*|prouve\w*|deduis\w*|"
    r"demuestr\w*|demostr\w*|deduc\w*|"
    r"dimostr\w*|deriva\b|bewijs\w*|leid .{0,60} af\b|toon aan|udowodni\w*|wyprowadz\w*|wykaz\b|"
    r"demonstr\w*|prove que|deduza)\b"
)
_DESIGN = (
    r"\b(?:design (?:a|an|the|and|this|our|my|me)|architect\w*|re-?design\w*|propose\w*|formulate\w*|"
    r"devise|construct|model the|build a|develop a\w*|plan (?:a|an|the|my|our)|"
    r"create a (?:comprehensive|detailed|complete|multi\w*|full)|draft a \w+ \w+ agreement|"
    r"entwirf|entwickle\w*|entwerfe\w*|erstelle (?:einen|eine|ein) (?:detaill|umfass|ausfuhr)\w*|"
    r"konzipier\w*|concois|concevez|elabor\w*|propose\w*|disena\w*|desarroll\w*|progett\w*|elabora\w*|"
    r"ontwerp\w*|ontwikkel\w*|zaprojekt\w*|opracuj\w*|projete|projetar|desenvolv\w*)\b"
)
_ANALYSE = (
    r"\b(?:analy[sz]e\w*|analysis|compar(?:e|ing|ison)|contrast|evaluat\w*|assess\w*|critique\w*|"
    r"critically|critici[sz]e|weigh\w*|diagnos(?:e|tic)\w*|investigat\w*|interpret|discuss\w*|"
    r"reconcile|examine|review (?:this|the|our|my)|identify (?:each|every|the|contradict\w*)|"
    r"analysier\w*|vergleich\w*|bewert\w*|diskutier\w*|gegenuber|untersuch\w*|analyse[rz]?|"
    r"compare[rz]?|evalue\w*|discute\w*|analiz\w*|compar[ae]\w*|evalu\w*|analizz\w*|confront\w*|"
    r"valut\w*|analyseer\w*|vergelijk\w*|weeg\w*|beoordeel\w*|przeanaliz\w*|porown\w*|ocen\w*|"
    r"analis\w*|avali\w*)\b"
)
_JUSTIFY = (
    r"\b(?:justif\w*|explain (?:each|every|your|the (?:reason|decision|memory|alternat|trade|"
    r"method)\w*|in (?:depth|detail))|explaining|why (?:this|these|it|joint)|rationale|reason(?:ing|s|"
    r"ed)?\b|argu(?:e|es|ing|ment|ments)|counter-?arguments?|trade-?offs?|"
    r"pros and cons|advantages and|implications?|consequences|assumptions?|sensitivity|"
    r"recommend (?:one|and)|recommendation|step[- ]by[- ]step|each step|every step|"
    r"begrund\w*|schritt fur schritt|jeden schritt|vor- und nachteile|abwag\w*|justifi\w*|pas a pas|"
    r"etape par etape|argument\w*|compromis|expliqu\w* (?:pourquoi|chaque)|paso a paso|justific\w*|"
    r"ventajas y|motiva\w*|passo (?:per|a) passo|spiega (?:dove|perche|ogni)|"
    r"onderbouw\w*|stap voor stap|leg .{0,30} uit|uzasadni\w*|krok po kroku|kazdy krok|"
    r"wyjasnij (?:kazdy|dlaczego)|cada (?:passo|etapa|paso)|vantagens e)\b"
)
_ENGINEER = (
    r"\b(?:implement\w*|refactor\w*|optimi[sz]e\w*|debug\w*|parser|simulat(?:e|or|ion)\w*|migrat\w*|"
    r"rewrite it so|race conditions?|deadlock\w*|thread[- ]safe\w*|unit tests?|with tests|root cause|"
    r"hypothes[ei]s|roll-?back|zero[- ]downtime|terraform|script that|program that|module (?:for|"
    r"that)|compiler|"
    r"implementier\w*|optimier\w*|implementez|optimise[rz]?|implementa\w*|optimi[sz]a\w*|ottimizz\w*|"
    r"implementeer\w*|zaimplementuj|zoptymalizuj)\b"
)
_HARD = (
    r"\b(?:algorithm\w*|complexity|amorti[sz]ed|o\(n|np-?complete|distributed|consisten\w*|"
    r"concurren\w*|fault[- ]toler\w*|replicat\w*|shard\w*|throughput|latency|scalab\w*|idempoten\w*|"
    r"invariants?|equilibrium|eigenvalue\w*|integral|integrate x|recurrence|"
    r"differential|theor\w*|probabilit\w*|stochastic|regression|npv|irr\b|forecast\w*|cash flow|"
    r"break-even|projections?|strateg\w*|roadmap|milestones?|risks?\b|mitigat\w*|constraints?|"
    r"requirements?|framework|methodolog\w*|validity|confound\w*|policy|treaty|liabilit\w*|"
    r"architektur\w*|risiken|verteilt\w*|konsistenz|algorithm\w*|architecture\w*|risques|algoritm\w*|"
    r"arquitectur\w*|arquitetur\w*|architettur\w*|riesgos|rischi|risico\w*|architectuur|ryzyk\w*|"
    r"riscos|estrateg\w*|strategi\w*|hypothe\w*|migration\w*|migratie\w*)\b"
)
_LONG_FORM = (
    r"\b(?:\d[\d,.]{2,}[- ]words?|essay|business plan|in detail|in depth|detailed|comprehensive|"
    r"thorough\w*|research proposal|technical specification|list possible causes|weigh the evidence|"
    r"mathematically|every field|both sides|systematic\w*|curriculum|white ?paper|checklist|"
    r"schedule (?:for|with)|training schedule|multi-?step|proposal|clause by clause|"
    r"ausfuhrlich\w*|detaillier\w*|umfassend\w*|stufenplan|projektplan|detaill?e?e?s?|en detail|"
    r"approfondi\w*|detallad\w*|en detalle|dettagliat\w*|gedetailleerd\w*|uitgebreid\w*|szczegolow\w*|"
    r"detalhad\w*)\b"
)
_PUZZLE = (
    r"\b(?:puzzle|riddle|deduce|who owns|what would happen|suppose the|only the facts|maximi[sz]e\w*|"
    r"minimi[sz]e\w*|find all|set up equations|determine the|work out|walk (?:me )?through|"
    r"help me think)\b"
)
_BRIEF = (
    r"\b(?:briefly|brief|short(?:er|en)?|one[- ](?:line|liner|sentence|word)|a line|in (?:one|two|"
    r"three|a) (?:line|sentence|word)s?|(?:one|two|three|1|2|3)[- ]sentences?|two[- ]line|quick\w*|"
    r"just (?:say|tell|give)|only (?:the|say)|tweet|haiku|subject line|title|headline|exactly one|"
    r"only give|nothing else|one of these|"
    r"kurz\w*|in einem satz|ein satz|bref\w*|court\w*|une phrase|petit mot|breve\w*|una frase|"
    r"una linea|due righe|kort\w*|een zin|zdanie|krotk\w*|uma (?:linha|frase))\b"
)
_SMALL = (
    r"\b(?:sentiment|slogan|logo|typos?|spelling|population|prices?|lunch|dinner|breakfast|recipe|"
    r"greeting|birthday|caption|nickname|joke|poem|greeting|postcard|message to|hello world|"
    r"simple (?:words|terms)|like i'm five|"
    r"einfach|simplement|simplemente|semplicemente|eenvoudig|po prostu|de forma simples)\b|^\W*\w+ [\d\s.+*/()^-]+$"
)
_ROUTINE = (
    r"^\W*(?:please |can you |could you |bitte |por favor |per favore |s'il te plait |"
    r"prosze )?(?:translate|summari[sz]e|fix|correct|convert|rewrite|rephrase|paraphrase|proofread|"
    r"sort|answer the question|reply|shorten|list|name|define|spell|extract|classify|reformat|format|"
    r"uppercase|lowercase|rename|make (?:this|it)|turn|put|give (?:me )?(?:a|an|the|three|five|two)|"
    r"add|write (?:a|an|the|me) (?:short|one|two|quick|haiku|tweet|subject|sql query|css|regex|bash)|"
    r"tell me a|"
    r"ubersetze?\w*|formuliere?\w*|fasse|korrigiere|nenne|schreib\w*|traduis\w*|corrige\w*|resume\w*|"
    r"ecris|ajoute|donne|traduce|traduza|resum[ea]|escribe|escreva|traduci|correggi|scrivi|riassumi|"
    r"vertaal|schrijf|vat|przetlumacz|popraw|napisz|stresc|"
    r"hi|hello|hey|thanks|thank you|yes|no|ok|okay)\b"
)
_QUESTION = (
    r"^\W*(?:what(?:'s| is| are| was| does| do| time| day| year)?|who|when|where|which|how (?:many|"
    r"much|long|tall|far|old|do i|do you|is|are)|is|are|does|do|did|can|was|qui|quel\w*|quand|ou|"
    r"combien|que|cual\w*|cuant\w*|quien|cuando|donde|como se|c'est quoi|qu'est-ce|"
    r"wer|wie|wann|wo|welche\w*|wat|wie|wanneer|waar|hoeveel|qual\w*|quant\w*|chi|cos'e|che cos'e|"
    r"quando|jak\w*|kto|kiedy|gdzie|ile|co to|o que|quem|onde)\b"
)
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.S)
_QUOTED = re.compile(r"\"[^\"\n]+\"|^>.*$", re.M)
_PAYLOAD_WORDS = 12
"""A task of words before a colon or line break, and longer text after it: the text is what the task is done to."""

_POLITE = r"^\W*(?:(?:please|can you|could you|bitte|por favor|per favore) )?"
_LEADING_PROOF = rf"{_POLITE}(?:{_PROVE})"
_LEADING = rf"{_POLITE}(?:{_DESIGN}|{_ANALYSE}|{_ENGINEER})"
_STEMS: dict[str, str] = {
    "proves": _PROVE,
    "designs": _DESIGN,
    "analyses": _ANALYSE,
    "justifies": _JUSTIFY,
    "engineers": _ENGINEER,
    "hard_words": _HARD,
    "long_form": _LONG_FORM,
    "puzzle": _PUZZLE,
    "brief": _BRIEF,
    "routine_task": _ROUTINE,
    "plain_question": _QUESTION,
    "leading": _LEADING,
    "leading_proof": _LEADING_PROOF,
    "small_thing": _SMALL,
}
_NAMES = tuple(_STEMS)
_PATTERNS = {name: compiled(expression) for name, expression in _STEMS.items()}
_CUES = PatternSet([*_STEMS.values()])
_PRESENT_OR_NOT = frozenset(("leading", "leading_proof", "small_thing", "routine_task", "plain_question", "brief"))
_DEMANDING = frozenset(("proves", "designs", "analyses", "justifies", "engineers", "hard_words", "long_form", "puzzle"))
_MOST_COUNTED = 4


def features(texts: Texts) -> dict[str, float]:
    """The numbers by which a request is judged; those that are zero are left out.

    Words for one kind of work count half a point each, up to four of them; ``long_task`` is in doublings of twelve
    words, ``long_context`` in doublings of 8,000 characters.
    """
    asked = texts.asked
    if len(asked) > _LONGEST_LOOKED_AT:
        asked = asked[: _LONGEST_LOOKED_AT // 2] + "\n" + asked[-_LONGEST_LOOKED_AT // 2 :]
    task = _task(plain(asked))
    raw = task.encode("utf-8", "replace")
    words = len(task.split())
    found: dict[str, float] = {}
    for index in _CUES.found(raw):
        name = _NAMES[index]
        if name in _PRESENT_OR_NOT:
            found[name] = 1.0
        else:
            found[name] = sum(1 for _ in islice(_PATTERNS[name].finditer(raw), _MOST_COUNTED)) / 2
    # Long alone is not complex: many a routine task comes with its story.
    if not _DEMANDING.isdisjoint(found):
        found["long_task"] = max(0.0, math.log2(max(words, 1) / 12))
    found["very_short"] = float(words < 9)
    found["long_context"] = max(0.0, math.log2(max(len(texts.everything), 1) / 8000))
    found["conversation"] = min(max(texts.turns - 2, 0), 10) / 5
    found["tools"] = min(texts.tools, 8) / 4
    found["shaped"] = float(texts.shaped)
    return {name: value for name, value in found.items() if value}


def _task(asked: str) -> str:
    """What is to be done, without the text that it is to be done to."""
    bare = _FENCED.sub(" ", asked) if "```" in asked else asked
    if '"' in bare or ">" in bare:
        bare = _QUOTED.sub('""', bare)
    bare = bare.strip()
    if not _PATTERNS["routine_task"].search(bare.encode("utf-8", "replace")):
        return bare
    head, separator, rest = _split(bare)
    if separator and len(head.split()) <= _PAYLOAD_WORDS < len(rest.split()):
        return head
    return bare


def _split(text: str) -> tuple[str, str, str]:
    match = re.search(r":\s|\n", text)
    if match is None:
        return text, "", ""
    return text[: match.start()], match[0], text[match.end() :]
