"""Levels and exceptions of a stack, and what follows from a finding."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.policy_spec import PoliciesSpec
from policies.judgement import Verdict, judge
from tests.unit.policies.fleet import container, good_fleet, one_of, rule

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 23)


def verdicts(policies: dict[str, Any]) -> list[Verdict]:
    """What is said of a router whose image moves."""
    manifests, facts = good_fleet()
    container(one_of(manifests, "Deployment", "router"))["image"] = "registry.example.com/paddock:latest"
    return judge(manifests, facts, PoliciesSpec.model_validate(policies), today=TODAY, rules=[rule("pinned-images")])


def test_a_mandatory_finding_blocks_and_says_everything() -> None:
    (verdict,) = verdicts({})
    assert verdict.blocks
    said = verdict.to_mapping()
    assert said["rule"] == "pinned-images"
    assert said["where"] == "Deployment/router"
    assert "registry.example.com/paddock:latest" in str(said["what"])
    assert said["why"]
    assert said["fix"]


@pytest.mark.parametrize(("level", "count"), [("advisory", 1), ("disabled", 0)])
def test_the_stacks_level_holds(level: str, count: int) -> None:
    found = verdicts({"levels": {"pinned-images": level}})
    assert len(found) == count
    assert not any(verdict.blocks for verdict in found)


def exception(**changes: Any) -> dict[str, Any]:
    return {
        "rule": "pinned-images",
        "where": "Deployment/router",
        "reason": "the release is on its way",
        "until": "2026-11-23",
        **changes,
    }


def test_an_exception_is_shown_and_does_not_block_up_to_its_last_day() -> None:
    (verdict,) = verdicts({"exceptions": [exception()]})
    assert not verdict.blocks
    assert verdict.to_mapping()["exception"] == {"reason": "the release is on its way", "until": "2026-11-23"}


@pytest.mark.parametrize(
    "changes", [{"until": "2026-11-22"}, {"where": "Deployment/web-ui"}, {"rule": "probes"}], ids=str
)
def test_an_exception_of_something_else_or_of_yesterday_excepts_nothing(changes: dict[str, Any]) -> None:
    (verdict,) = verdicts({"exceptions": [exception(**changes)]})
    assert verdict.blocks


def test_an_exception_may_cover_several() -> None:
    (verdict,) = verdicts({"exceptions": [exception(where="Deployment/*")]})
    assert not verdict.blocks


def test_an_expired_exception_is_a_mistake_of_the_config() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec({"models": {"a": "gemma3:270m"}, "policies": {"exceptions": [exception(until="2020-01-01")]}})
    (problem,) = caught.value.problems
    assert problem.key == "policies.exceptions.0.until"
    assert "2020-01-01" in problem.message


def test_an_exception_needs_a_reason() -> None:
    with pytest.raises(SpecError, match=r"policies\.exceptions\.0\.reason"):
        load_spec({"models": {"a": "gemma3:270m"}, "policies": {"exceptions": [exception(reason="x")]}})
