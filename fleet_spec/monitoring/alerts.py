"""Alerts for every target. Each leads to the section of the runbooks that bears its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fleet_spec.monitoring import queries
from fleet_spec.monitoring.watched import Watched

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Alert:
    """One alert, before it is scaled and labelled."""

    name: str
    expression: str
    lasting_seconds: int
    """How long the expression has to hold before anybody is told."""
    severity: Literal["critical", "warning", "info"]
    summary: str
    """What is wrong, in Prometheus' template language."""


def rule(watched: Watched, alert: Alert) -> dict[str, Any]:
    """An alert as a rule file has it."""
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": watched.span(alert.lasting_seconds),
        "labels": {"severity": alert.severity, **watched.labels},
        "annotations": {"summary": alert.summary, "runbook_url": f"{watched.runbook_url}#{alert.name.lower()}"},
    }


def rules(watched: Watched, further: Sequence[Alert] = ()) -> list[dict[str, Any]]:
    """Every alert of a fleet, with those of its target."""
    found = [*_router(watched), *_endpoints(watched), *_requests(watched), *_money(watched), *further]
    return [rule(watched, alert) for alert in found]


def rule_file(watched: Watched) -> dict[str, Any]:
    """What a rule file for Prometheus holds."""
    return {"groups": [{"name": f"paddock-{watched.name}-alerts", "rules": rules(watched)}]}


def _router(watched: Watched) -> list[Alert]:
    return [
        Alert("PaddockRouterDown", watched.router_down, 2 * _MINUTE, "critical", "No replica of the router answers."),
        Alert(
            "PaddockContractUnusable",
            f"min({watched.series('paddock_contract_last_reload_successful')}) == 0",
            5 * _MINUTE,
            "warning",
            "A router cannot read the contract and goes on with the last good one.",
        ),
        Alert(
            "PaddockLoopSlow",
            f"{queries.quantile(watched, 0.9, 'paddock_event_loop_lag_seconds', by='')} > 0.1",
            10 * _MINUTE,
            "warning",
            "The router gets round to its work {{ $value | humanizeDuration }} late.",
        ),
    ]


def _endpoints(watched: Watched) -> list[Alert]:
    # A name may hold dots, which in a pattern would stand for anything.
    awake = "|".join(name.replace(".", "[.]") for name in watched.awake)
    of_awake = watched.series("paddock_endpoint_healthy", f'model=~"{awake}"')
    # One that is half open lets a request through to see; it is not well again.
    open_breakers = watched.series("paddock_breaker_state", 'state!="closed"')
    found = [
        Alert(
            "PaddockEndpointDown",
            f"{queries.endpoints_up(watched)} == 0",
            10 * _MINUTE,
            "warning",
            "{{ $labels.endpoint }} of {{ $labels.model }} does not answer.",
        ),
        Alert(
            "PaddockBreakerOpen",
            f"max by (model, tier, endpoint) ({open_breakers}) > 0",
            2 * _MINUTE,
            "warning",
            "{{ $labels.endpoint }} gets no requests for {{ $labels.model }}: it kept failing.",
        ),
        Alert(
            "PaddockNameLookupFailed",
            f"max by (host) ({watched.series('paddock_name_lookup_failed')}) > 0",
            5 * _MINUTE,
            "warning",
            "The name {{ $labels.host }}, under which endpoints are found, cannot be looked up.",
        ),
    ]
    if awake:
        down = f"max by (model) ({of_awake}) == 0"
        found.append(
            Alert("PaddockModelDown", down, 2 * _MINUTE, "critical", "No replica of {{ $labels.model }} answers.")
        )
    return found


def _requests(watched: Watched) -> list[Alert]:
    late_long, late_short = queries.late_share(watched, _HOUR), queries.late_share(watched, 5 * _MINUTE)
    everything = queries.total_rate(watched, "paddock_requests_total")
    unplaced = queries.total_rate(watched, "paddock_requests_total", further='model="",status=~"5.."')
    private = queries.total_rate(watched, "paddock_refused_total", further='by="private_prompt"')
    turned_away = queries.total_rate(watched, "paddock_requests_total", further='status="429"')
    waiting = f"max by (model, tier) ({watched.series('paddock_queue_waiting_requests')})"
    return [
        Alert(
            "PaddockErrors",
            f"{queries.error_share(watched)} > 0.05",
            5 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of the requests for {{ $labels.model }} fail.",
        ),
        Alert(
            "PaddockUnanswered",
            f"{unplaced} / {everything} > 0.05",
            5 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of all requests find nobody who may answer them.",
        ),
        Alert(
            "PaddockPrivateRefused",
            f"{private} / {everything} > 0.05",
            5 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of all requests are private and have no model of the fleet.",
        ),
        Alert(
            "PaddockSlowFirstToken",
            # One in twenty may begin after ten seconds. At six times that rate for an hour, and still in the last five
            # minutes: the two windows of the SRE Workbook's chapter on alerting on SLOs, so that it is neither raised
            # by one slow minute nor kept up by it.
            f"({late_short} > 0.3) and ({late_long} > 0.3)",
            2 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of the answers of {{ $labels.model }} begin after ten seconds or later.",
        ),
        Alert(
            "PaddockQueueFull",
            f"{waiting} > {0.8 * watched.most_waiting:g}",
            2 * _MINUTE,
            "warning",
            "{{ $value }} requests wait for {{ $labels.model }}. "
            f"From {watched.most_waiting} on they are refused.",
        ),
        Alert(
            "PaddockTooManyRequests",
            f"{turned_away} / {everything} > 0.1",
            5 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of all requests are refused with 429.",
        ),
    ]


def _money(watched: Watched) -> list[Alert]:
    used = queries.budget_used(watched)
    forecast = f"max by (scope) ({watched.series('paddock_forecast_usd')})"
    budget = f"max by (scope) ({watched.series('paddock_budget_usd')})"
    lost = f"sum(increase({watched.series('paddock_ledger_lost_charges_total')}[{watched.span(_HOUR)}]))"
    return [
        Alert(
            "PaddockBudgetSoftLimit",
            f"{used} >= {watched.soft_limit:g}",
            5 * _MINUTE,
            "warning",
            "{{ $value | humanizePercentage }} of the budget of {{ $labels.scope }} are spent.",
        ),
        Alert(
            "PaddockBudgetUsedUp",
            # Hardly ever is it spent to the last cent: a request that could cost more than is left is refused.
            f"{used} > 0.99",
            _MINUTE,
            "critical",
            "The budget of {{ $labels.scope }} is used up for this month.",
        ),
        Alert(
            "PaddockBudgetForecast",
            f"{forecast} > {budget}",
            6 * _HOUR,
            "info",
            "At this rate {{ $labels.scope }} will have spent {{ $value }} USD by the end of the month.",
        ),
        Alert(
            "PaddockLedgerDown",
            f"min({watched.series('paddock_ledger_up')}) == 0",
            _MINUTE,
            "critical",
            "Spending cannot be written down: tiers that cost money by the token are closed.",
        ),
        Alert("PaddockChargesLost", f"{lost} > 0", 0, "critical", "{{ $value }} charges could not be kept anywhere."),
    ]
