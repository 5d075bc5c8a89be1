"""How often the classifier is right: on prompts that it was tuned on, and on prompts that it was not."""

from __future__ import annotations

import pytest

from agent_runtime.router.prompts import Classifier
from fleet_spec.governance_spec import PrivacySpec
from tests.unit.router.prompts.labelled import Labelled, read

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(PrivacySpec())


def judged(classifier: Classifier, name: str) -> list[tuple[Labelled, bool, bool]]:
    result: list[tuple[Labelled, bool, bool]] = []
    for prompt in read(name):
        found = classifier.classify(prompt.dialect, prompt.body)
        result.append((prompt, found.private, found.complex))
    return result


@pytest.mark.parametrize("name", ["tuned", "unseen"])
def test_privacy_is_right_for_at_least_95_in_100(classifier: Classifier, name: str) -> None:
    answers = judged(classifier, name)
    missed = sum(prompt.private and not private for prompt, private, _ in answers)
    false_alarms = sum(private and not prompt.private for prompt, private, _ in answers)
    told = f"{name}: of {len(answers)}, {missed} private ones missed, {false_alarms} false alarms"
    assert missed + false_alarms <= 0.05 * len(answers), told
    # A miss is a leak, a false alarm costs a better answer at most.
    assert missed <= 0.02 * sum(prompt.private for prompt, _, _ in answers), told


@pytest.mark.parametrize("name", ["tuned", "unseen"])
def test_complexity_is_right_for_at_least_90_in_100(classifier: Classifier, name: str) -> None:
    answers = judged(classifier, name)
    missed = sum(prompt.complex and not found for prompt, _, found in answers)
    overrated = sum(found and not prompt.complex for prompt, _, found in answers)
    told = f"{name}: of {len(answers)}, {missed} complex ones missed, {overrated} routine ones overrated"
    assert missed + overrated <= 0.1 * len(answers), told
    assert missed <= 0.1 * sum(prompt.complex for prompt, _, _ in answers), told


def test_the_unseen_prompts_are_enough_and_of_every_kind() -> None:
    unseen = read("unseen")
    assert len(unseen) >= 300
    for private in (True, False):
        for is_complex in (True, False):
            assert sum((p.private, p.complex) == (private, is_complex) for p in unseen) >= 10
    assert {prompt.language for prompt in unseen} >= {"en", "de", "fr", "es", "it", "nl", "pl", "pt"}


def test_no_unseen_prompt_is_among_the_tuned() -> None:
    tuned = [prompt.body for prompt in read("tuned")]
    assert not [prompt.body for prompt in read("unseen") if prompt.body in tuned]
