"""The rules of a contract, texts that were made to be slow, and reasons that tell nothing."""

# ruff: noqa: RUF001 - letters and digits that look like others are what is tested

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from agent_runtime.router.prompts import Classifier
from agent_runtime.router.prompts.privacy import Privacy
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import PrivacySpec

pytestmark = pytest.mark.unit

SIZE = 1_000_000


def rules(**fields: Any) -> PrivacySpec:
    return PrivacySpec.model_validate(fields)


def private(text: str, **fields: Any) -> bool:
    return Classifier(rules(**fields)).classify("ollama", {"prompt": text}).private


def test_everything_is_private_where_the_rules_say_so() -> None:
    found = Classifier(rules(default="private")).classify("ollama", {"prompt": "What is the capital of Japan?"})
    assert found.private
    assert not found.complex
    assert found.reasons[0] == "private: privacy.default says that everything is"


def test_a_detector_can_be_switched_off() -> None:
    assert private("write to sara.lind@firma.se")
    assert not private("write to sara.lind@firma.se", detectorsOff=["email"])
    assert private("sara.lind@firma.se, 4111 1111 1111 1111", detectorsOff=["email"])


def test_numbers_without_a_country_code_depend_on_the_regions() -> None:
    assert private("call me on 0171 1234567", regions=["DE"])
    assert not private("ring 0171 1234567", regions=[])
    assert private("ring +49 171 1234567", regions=[])


def test_own_patterns_count_and_are_named() -> None:
    found = Privacy(rules(patterns={"project": r"(?i)\bproject\s+bluebird\b"})).reasons(
        "When does Project  Bluebird end?"
    )
    assert found == ["pattern project: found"]
    assert not private("When does Project Redwing end?", patterns={"project": r"(?i)project bluebird"})


def test_own_patterns_see_the_text_as_it_is_and_in_its_plain_form() -> None:
    assert private("Projekt Grünspecht", patterns={"p": "Grünspecht"})
    assert private("Projekt Grünspecht", patterns={"p": "Grunspecht"})


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)b", "a{2000}"])
def test_a_pattern_that_cannot_be_had_in_linear_time_is_refused_with_its_name(pattern: str) -> None:
    with pytest.raises(BadInputError, match=r"privacy\.patterns\.mine: .* fix: "):
        Privacy(rules(patterns={"mine": pattern}))


def test_a_pattern_that_would_hang_others_is_no_danger() -> None:
    assert not private("a" * SIZE + "!", patterns={"slow": "^(a+)+$", "nested": "(a|aa)+b", "dots": "(.*)*x"})


@pytest.mark.parametrize(
    "piece",
    [
        "1 ",
        "4 ",
        "44 ",
        "4111 1111 1111 1112 ",
        "a@",
        "a at b dot ",
        "password is ",
        "password=",
        "://a:",
        "QUJD",
        "my salary ",
        "patient ",
        "one ",
        "(",
        "+1 ",
        "0171 2345 ",
        "born 1.2. ",
        "12 Xyz Street ",
        "DE12 ABCD ",
        "eyJ.",
        "&#64;",
        "%40",
        "１",
        "é",
        "Mr A. ",
        "passport ",
        "-----BEGIN ",
        "i have ",
        "12.5,",
        "\n",
        "'s ",
    ],
)
def test_no_megabyte_holds_up_the_router(piece: str) -> None:
    text = piece * (SIZE // len(piece)) + "\nMy salary is 5,000 euros."
    assert Privacy(rules()).reasons(text)


def test_something_private_is_found_at_the_end_of_a_megabyte() -> None:
    filler = "The quick brown fox jumps over the lazy dog. " * (SIZE // 45)
    assert not private(filler)
    assert private(filler + "My SSN is 536-90-4399.")


def test_more_places_than_can_be_looked_at_are_private() -> None:
    assert private("password is wrong " * 30_000)


@pytest.mark.parametrize("text", ["my password is Xk29-secret", "Mrs. Okafor has leukemia", "4111 1111 1111 1111"])
def test_reasons_hold_nothing_of_the_prompt(text: str) -> None:
    reasons = " ".join(Classifier(rules()).classify("ollama", {"prompt": text}).reasons)
    assert reasons
    assert not [word for word in ("Xk29", "Okafor", "leukemia", "4111") if word in reasons]


def test_pictures_are_private_unless_the_client_says_otherwise() -> None:
    body = {"prompt": "What is this?", "images": ["AA=="]}
    classifier = Classifier(rules())
    assert classifier.classify("ollama", body).private
    assert not classifier.classify("ollama", body, declared_public=True).private
    body["prompt"] = "Is this Visa 4111 1111 1111 1111 real?"
    assert classifier.classify("ollama", body, declared_public=True).private


def test_presidio_that_is_not_installed_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(BadInputError, match=r"paddock\[presidio\]"):
        Privacy(rules(presidio=True))


def test_presidio_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Engine:
        def analyze(self, *, text: str, **_: object) -> list[object]:
            asked.append(text)
            return [SimpleNamespace(entity_type="US_PASSPORT")] if "Zanzibar" in text else []

    module = ModuleType("presidio_analyzer")
    module.__dict__["AnalyzerEngine"] = Engine
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    with pytest.raises(BadInputError, match="en_core_web_lg"):
        Privacy(rules(presidio=True))
    model = ModuleType("en_core_web_lg")
    model.__spec__ = ModuleSpec("en_core_web_lg", None)
    monkeypatch.setitem(sys.modules, "en_core_web_lg", model)
    privacy = Privacy(rules(presidio=True))
    assert privacy.reasons("Zanzibar") == ["presidio: found something of a person's"]
    assert privacy.reasons("x" * 250_000) == []
    assert [len(text) for text in asked[1:]] == [100_000, 100_000, 50_000]
