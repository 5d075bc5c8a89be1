"""What the page says is broken, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.page.problems import problems

pytestmark = pytest.mark.unit


def endpoint(**fields: Any) -> dict[str, Any]:
    return {"url": "http://a:1", "health": "up", "breaker": "closed", "problem": None, "drained": False, **fields}


def model(*endpoints: dict[str, Any], **fields: Any) -> dict[str, Any]:
    usual = {"name": "m", "tier": "local", "asleep": False, "waiting": 0, "errors": 0, "errorRate": None}
    return {**usual, "endpoints": list(endpoints), **fields}


def found(*models: dict[str, Any], target: str = "local", **more: Any) -> list[tuple[str, str]]:
    return [(one["level"], one["what"]) for one in problems(models, stack="dev", target=target, **more)]


def test_a_fleet_that_is_well_has_none() -> None:
    assert found(model(endpoint())) == []


@pytest.mark.parametrize(
    ("target", "command"), [("local", "paddock up"), ("docker", "docker ps"), ("kubernetes", "kubectl")]
)
def test_an_endpoint_that_is_down_is_named_with_what_to_do_on_its_target(target: str, command: str) -> None:
    down = endpoint(health="down", problem="connection refused")
    [one] = problems([model(endpoint(), {**down, "url": "http://b:2"})], stack="dev", target=target)
    assert one["level"] == "warning"
    assert "http://b:2" in one["what"]
    assert "connection refused" in one["what"]
    assert command in one["fix"]


def test_a_model_that_nobody_answers_for_is_the_worst() -> None:
    down = endpoint(health="down", problem="connection refused")
    assert found(model(down))[0] == ("error", "no endpoint of model m takes requests, and its requests are refused")


def test_its_requests_may_go_to_another_tier() -> None:
    [first, *_] = found(model(endpoint(health="down")), model(endpoint(), tier="cloud"))
    assert first == ("error", "no endpoint of model m takes requests, and its requests go to: cloud")


def test_a_model_that_sleeps_is_not_broken() -> None:
    assert found(model(endpoint(health="down"), asleep=True)) == []


def test_a_drained_endpoint_is_a_note() -> None:
    assert found(model(endpoint(), endpoint(drained=True, health="down", url="http://b:2")))[0][0] == "note"


def test_an_open_breaker_a_queue_and_errors_are_told() -> None:
    ill = model(endpoint(), endpoint(breaker="open", problem="answered 500"), waiting=3, errors=9, errorRate=0.5)
    words = [what for _, what in found(ill)]
    assert any("answered 500" in what for what in words)
    assert "3 requests wait for model m" in words
    assert "50% of the last minute's requests to model m failed" in words


def test_a_few_errors_by_chance_are_not() -> None:
    assert found(model(endpoint(), errors=4, errorRate=1.0)) == []


SPENDING = {
    "state": "open", "monthlyUsd": 100.0, "spentUsd": 10.0, "softLimit": 0.8, "forecastUsd": 50.0,
    "month": "2026-11", "resetsAt": "2026-12-01T00:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("spending", "level"),
    [({"state": "closed"}, "error"), ({"state": "soft"}, "warning"), ({"forecastUsd": 101.0}, "warning")],
)
def test_a_budget_that_ends_is_told_before_and_when_it_does(spending: dict[str, Any], level: str) -> None:
    assert found(spending=SPENDING) == []
    assert found(spending={**SPENDING, **spending})[0][0] == level


def test_what_the_router_says_itself_and_names_come_first() -> None:
    told = found(
        model(endpoint(), waiting=1), told=["the ledger is down"], names=[{"host": "x", "problem": "no such host"}]
    )
    assert [level for level, _ in told] == ["error", "error", "warning"]
