"""What a config may not say of keys, tiers and the budget, found before anything is touched."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet_spec.checks_governance import governance_problems
from fleet_spec.errors import Problem, SpecError
from fleet_spec.key_rules import expiry_timestamp, owner_of
from fleet_spec.keys import hash_of, new_key
from fleet_spec.loading import load_spec
from fleet_spec.spec import FleetSpec

pytestmark = pytest.mark.unit

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
HASH = hash_of(new_key())


def problems(**config: Any) -> dict[str, Problem]:
    """What is wrong with a fleet of one model, ``assistant``, known as ``default`` too."""
    spec = FleetSpec.model_validate({"models": {"assistant": "gemma3:270m"}, **config})
    return {one.key: one for one in governance_problems(spec, {"assistant", "default"}, now=NOW)}


def key_problems(**keys: dict[str, Any]) -> dict[str, Problem]:
    return problems(router={"keys": {name.replace("_", "-"): {"hash": HASH, **key} for name, key in keys.items()}})


def test_a_key_with_nothing_wrong_is_let_be() -> None:
    assert key_problems(ci={"models": ["default", "assistant"], "expires": "2027-01-16"}) == {}


@pytest.mark.parametrize("expires", ["2027-01-15", "2026-12-31", "2027-01-15T12:00:00Z"])
def test_a_key_that_has_expired_is_told(expires: str) -> None:
    found = key_problems(ci={"expires": expires})["router.keys.ci.expires"]
    assert expires in found.message
    assert "paddock keys revoke ci --write" in found.fix


def test_an_old_key_of_a_rotation_may_run_out() -> None:
    other = hash_of(new_key())
    assert key_problems(ci={"hash": other}, ci_previous={"expires": "2026-12-31"}) == {}
    assert list(key_problems(ci_previous={"expires": "2026-12-31"})) == ["router.keys.ci-previous.expires"]


def test_a_day_that_there_is_not_is_told() -> None:
    assert "no day" in key_problems(ci={"expires": "2027-02-30"})["router.keys.ci.expires"].message


def test_two_names_for_one_key_are_told() -> None:
    found = key_problems(ci={}, cd={})["router.keys.cd.hash"]
    assert found.message == "'ci' and 'cd' are the same key"


def test_the_name_of_the_key_that_the_stack_makes_is_taken() -> None:
    assert "router.keys.default" in key_problems(default={})


def test_a_model_that_a_key_names_has_to_exist() -> None:
    found = key_problems(ci={"models": ["asistant"]})["router.keys.ci.models"]
    assert found.fix == "did you mean 'assistant'?"


def test_what_a_tier_answers_has_to_be_a_name_of_the_fleet() -> None:
    api_key = secrets.token_urlsafe(12)
    commercial = {"url": "https://api.example.com/v1", "apiKey": api_key, "models": {"default": "a", "large": "b"}}
    cloud = {"urls": ["https://gpu.example.com/v1"], "models": {"zzz": "a"}}
    found = problems(tiers={"commercial": commercial, "cloud": cloud})
    assert set(found) == {"tiers.commercial.models.large", "tiers.cloud.models.zzz"}
    assert found["tiers.cloud.models.zzz"].fix == "write one of assistant, default"


def test_a_budget_is_for_tiers_that_are_there() -> None:
    assert list(problems(budget={"tiers": {"cloud": 10}})) == ["budget.tiers.cloud"]


def test_an_order_may_name_tiers_that_are_not_there() -> None:
    assert problems(routing={"routine": ["commercial", "local"]}) == {}


def test_a_whole_config_tells_them_with_all_other_mistakes() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(
            {
                "models": {"assistant": "gemma3:270m"},
                "aliases": {"default": "asistant"},
                "router": {"keys": {"ci": {"hash": HASH, "expires": "2020-01-01"}}},
            }
        )
    assert {problem.key for problem in caught.value.problems} == {"aliases.default", "router.keys.ci.expires"}


@pytest.mark.parametrize(
    ("expires", "moment"),
    [
        ("2027-01-15", datetime(2027, 1, 15, tzinfo=UTC)),
        ("2027-01-15T12:00:01Z", datetime(2027, 1, 15, 12, 0, 1, tzinfo=UTC)),
    ],
)
def test_days_and_seconds_of_expiry_are_in_utc(expires: str, moment: datetime) -> None:
    assert expiry_timestamp(expires) == moment.timestamp()


def test_an_old_key_belongs_to_the_one_that_took_its_place() -> None:
    assert owner_of("ci-previous", {"ci", "ci-previous"}) == "ci"
    assert owner_of("ci-previous", {"ci-previous"}) == "ci-previous"
    assert owner_of("ci", {"ci"}) == "ci"


@pytest.mark.parametrize("pattern", [r"(?=secret)", r"(a)\1", "(", "[z-a]"])
def test_a_pattern_that_the_router_cannot_use_is_told(pattern: str) -> None:
    found = problems(privacy={"patterns": {"project": pattern, "good": r"PRJ-\d{6}"}})
    assert list(found) == ["privacy.patterns.project"]
    assert repr(pattern) in found["privacy.patterns.project"].message
    assert "RE2" in found["privacy.patterns.project"].fix
