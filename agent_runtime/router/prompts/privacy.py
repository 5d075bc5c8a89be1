"""Whether a text holds what must not leave the fleet.

One pass over the text with every detector's cue, a loose expression without which it cannot find anything, tells
which detectors are worth asking. For nearly every prompt that is none or one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from agent_runtime.router.prompts.detectors import (
    accounts,
    addresses,
    cards,
    credentials,
    documents,
    emails,
    health,
    national_ids,
    pay,
    phones,
    tokens,
)
from agent_runtime.router.prompts.passage import Passage, TooMuchError
from agent_runtime.router.prompts.patterns import Pattern, PatternError, PatternSet, compiled
from agent_runtime.router.prompts.plain import HIDINGS, plain
from agent_runtime.router.prompts.presidio import Presidio
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import DetectorName, PrivacySpec


@dataclass(frozen=True, slots=True)
class _Detector:
    name: DetectorName
    says: str
    """What it has found, for a reason: never a word of the prompt."""
    cue: str
    find: Callable[[Passage], bool]


def _detectors(regions: tuple[str, ...]) -> tuple[_Detector, ...]:
    return (
        _Detector("card", "the number of a payment card", cards.CUE, cards.find),
        _Detector("iban", "a bank account", accounts.CUE, accounts.find),
        _Detector("email", "a person's e-mail address", emails.CUE, emails.find),
        _Detector("phone", "a person's telephone number", phones.CUE, partial(phones.find, regions=regions)),
        _Detector("nationalId", "a state's number for a person", national_ids.CUE, national_ids.find),
        _Detector("credential", "a password or another secret", credentials.CUE, credentials.find),
        _Detector("token", "a key or token of a service", tokens.CUE, tokens.find),
        _Detector("health", "a statement about a person's health", health.CUE, health.find),
        _Detector("pay", "a statement about a person's income or means", pay.CUE, pay.find),
        _Detector("document", "a person's papers or date of birth", documents.CUE, documents.find),
        _Detector("address", "a person's postal address", addresses.CUE, addresses.find),
    )


@cache
def _cues() -> PatternSet:
    """The cues of detectors and of what hides text. They are the same for every contract, and dear to make."""
    return PatternSet([*(detector.cue for detector in _detectors(())), *(hiding.cue for hiding in HIDINGS)])


class Privacy:
    """Detectors as a contract's privacy rules have them.

    Raises:
        BadInputError: a pattern of the rules cannot be used, or Presidio is asked for and not there.
    """

    def __init__(self, rules: PrivacySpec) -> None:
        self._detectors = _detectors(rules.regions)
        self._off = frozenset(rules.detectors_off)
        self._own = {name: _own_pattern(name, expression) for name, expression in rules.patterns.items()}
        self._presidio = Presidio() if rules.presidio else None

    def prepare(self) -> None:
        """Load Presidio, if the rules ask for it."""
        if self._presidio is not None:
            self._presidio.load()

    def reasons(self, text: str) -> list[str]:
        """What is private in a text, a line for each detector that found something. Empty: nothing is."""
        found: dict[str, None] = {}
        simple = plain(text)
        for hiding in self._ask(simple, found):
            self._ask(HIDINGS[hiding].reveal(simple), found)
        if self._own:
            raw = text.encode("utf-8", "replace")
            written = (raw, simple.encode("utf-8", "replace"))
            for name, pattern in self._own.items():
                if any(pattern.search(one) for one in written):
                    found[f"pattern {name}: found"] = None
        if self._presidio is not None and self._presidio.finds(text):
            found["presidio: found something of a person's"] = None
        return list(found)

    def _ask(self, text: str, found: dict[str, None]) -> list[int]:
        """Ask the detectors that may find something. Gives the ways in which something may be hidden."""
        passage = Passage(text)
        hidings: list[int] = []
        for index in _cues().found(passage.text):
            if index >= len(self._detectors):
                hidings.append(index - len(self._detectors))
                continue
            detector = self._detectors[index]
            reason = f"{detector.name}: {detector.says}"
            if detector.name in self._off or reason in found:
                continue
            passage.begin()
            try:
                if detector.find(passage):
                    found[reason] = None
            except TooMuchError:
                found[f"{detector.name}: more to look at than can be"] = None
        return hidings


def _own_pattern(name: str, expression: str) -> Pattern:
    try:
        return compiled(expression, case_sensitive=True)
    except PatternError as error:
        raise BadInputError(
            f"privacy.patterns.{name}: {expression!r} cannot be used: {error}. "
            "fix: write it in RE2's syntax, which has no look-around and no back-references"
        ) from error
