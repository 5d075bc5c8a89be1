"""What makes a request complex."""

from __future__ import annotations

import pytest

from agent_runtime.router.prompts.complexity import WEIGHTS, assess
from agent_runtime.router.prompts.complexity_features import features
from agent_runtime.router.prompts.texts import Texts, collect

pytestmark = pytest.mark.unit


def asked(text: str) -> Texts:
    return collect({"prompt": text})


def is_complex(text: str) -> bool:
    return assess(asked(text)).complex


@pytest.mark.parametrize(
    "text",
    [
        "Prove that the harmonic series diverges.",
        "Compare three consensus protocols and justify which suits a bank.",
        "Design a scheduler for 200 trains; discuss failure modes and trade-offs.",
        "Beweise den Satz von Bolzano.",
        "Analizza i rischi di questa strategia e proponi alternative motivate.",
    ],
)
def test_proofs_designs_and_reasoned_comparisons_are_complex(text: str) -> None:
    assert is_complex(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Peru?",
        "Translate to Dutch: The committee will evaluate the architecture and justify the trade-offs of each strategy.",
        "Summarise: The report analyses the risks, compares two strategies in detail and derives a recommendation.",
        'Fix the spelling: "We analised the architeture and comparred alternatives."',
        "Wie heißt der höchste Berg Österreichs?",
        "",
        "?",
    ],
)
def test_questions_of_fact_and_work_on_a_given_text_are_routine(text: str) -> None:
    assert not is_complex(text)


def test_what_a_text_says_is_not_what_is_asked_of_it() -> None:
    payload = "Prove the theorem, compare all algorithms, justify every step and evaluate the risks of each strategy."
    assert "proves" not in features(asked(f"Translate into German: {payload}"))
    assert "proves" in features(asked(payload))


def test_reasons_name_what_weighed_most_and_hold_nothing_of_the_prompt() -> None:
    found = assess(asked("Prove that the Zorkian group is abelian."))
    assert found.reasons[0] == "complex: begins by asking for a proof or derivation"
    assert "Zorkian" not in " ".join(found.reasons)
    assert assess(asked("hi")).reasons[0].startswith("routine: ")


def test_only_the_beginning_and_the_end_of_a_long_turn_are_looked_at() -> None:
    filler = "lorem ipsum " * 100_000
    assert is_complex(filler + "\nNow compare both proposals in depth, justify your choice and derive the costs.")
    assert features(asked(filler))["long_context"] > 5


def test_every_feature_has_a_weight() -> None:
    everything = Texts(everything="x" * 20_000, asked="x", turns=9, tools=9, shaped=True)
    assert set(features(everything)) <= set(WEIGHTS)
