"""Whether a request is complex: a linear model over features of what is asked, its weights in one readable table.

The weights were fitted by logistic regression to the tuned half of the labelled prompts in tests/data/prompts. Those
of what no labelled prompt has enough of (long contexts, conversations, tools, schemas) were set by hand: they tip what
is nearly complex, and nothing else. docs/routing-classifier.md tells how to fit them again.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent_runtime.router.prompts.complexity_features import features
from agent_runtime.router.prompts.texts import Texts

THRESHOLD = 0.0
"""From this score on a request is complex: where the model holds both to be equally likely."""

BIAS = -1.95
WEIGHTS: dict[str, tuple[float, str]] = {
    "leading_proof": (3.8, "begins by asking for a proof or derivation"),
    "leading": (2.7, "begins by asking to design, analyse, compare or build"),
    "proves": (2.9, "asks for a proof or derivation"),
    "justifies": (3.3, "asks for reasons, trade-offs or every step"),
    "analyses": (2.4, "asks to analyse, compare or evaluate"),
    "long_form": (2.4, "asks for something long, detailed or systematic"),
    "hard_words": (2.3, "is about algorithms, systems, models, strategy or risk"),
    "engineers": (1.7, "asks for engineering: to implement, debug, migrate"),
    "designs": (1.3, "asks for a design or plan"),
    "puzzle": (0.4, "is a puzzle or an optimisation"),
    "long_task": (4.5, "the task itself is long"),
    "very_short": (-1.9, "is very short"),
    "small_thing": (-1.9, "is about something small"),
    "routine_task": (-1.2, "begins with a routine task: translate, summarise, rewrite, list"),
    "plain_question": (-1.0, "begins as a plain question"),
    "brief": (-0.9, "asks for a short answer"),
    # By hand: no labelled prompt has enough of these to fit them.
    "long_context": (0.3, "comes with a long context"),
    "conversation": (0.3, "comes after a long conversation"),
    "tools": (0.3, "offers many tools"),
    "shaped": (0.3, "wants an answer of a given shape"),
}
"""What each feature of complexity_features.py adds to the score for each unit of it, and how a reason names it."""
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Complexity:
    """How complex a request is, and why."""

    complex: bool
    score: float
    """Log-odds that it is complex."""
    reasons: tuple[str, ...]


def assess(texts: Texts) -> Complexity:
    """Judge what a request asks for."""
    weighed = {name: WEIGHTS[name][0] * value for name, value in features(texts).items()}
    score = BIAS + sum(weighed.values())
    is_complex = score >= THRESHOLD
    direction = 1 if is_complex else -1
    order = sorted(weighed, key=lambda name: -direction * weighed[name])
    label = "complex" if is_complex else "routine"
    reasons = [f"{label}: {WEIGHTS[name][1]}" for name in order[:_MOST_REASONS] if direction * weighed[name] > 0]
    return Complexity(is_complex, score, tuple(reasons) or (f"{label}: little in it asks for several steps",))
