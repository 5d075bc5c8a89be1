"""What the dashboard shows, in rows."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_spec.monitoring import queries
from fleet_spec.monitoring.watched import Watched


@dataclass(frozen=True)
class Panel:
    """One plot."""

    title: str
    unit: str
    """As Grafana names units: ``reqps``, ``s``, ``percentunit``, ``currencyUSD``."""
    queries: tuple[tuple[str, str], ...]
    """PromQL, and what a line is called."""
    description: str = ""


@dataclass(frozen=True)
class Row:
    """Plots under a heading."""

    title: str
    panels: tuple[Panel, ...]


def rows(watched: Watched) -> list[Row]:
    """Every row that all targets have."""
    return [
        _traffic(watched),
        _tiers(watched),
        _speed(watched),
        _load(watched),
        _endpoints(watched),
        _cache(watched),
        _money(watched),
        _experiments(watched),
        _router(watched),
    ]


def _one(title: str, unit: str, query: str, legend: str, description: str = "") -> Panel:
    return Panel(title, unit, ((query, legend),), description)


def _percentiles(watched: Watched, title: str, name: str) -> Panel:
    shares = ((0.5, "50 %"), (0.95, "95 %"), (0.99, "99 %"))
    return Panel(
        title, "s", tuple((queries.quantile(watched, at, name), f"{{{{model}}}} {text}") for at, text in shares)
    )


def _traffic(watched: Watched) -> Row:
    requests = "paddock_requests_total"
    return Row(
        "Traffic and errors",
        (
            _one("Requests", "reqps", queries.rate(watched, requests, further=queries.OF_MODEL), "{{model}}"),
            _one("Requests by status", "reqps", queries.rate(watched, requests, "status"), "{{status}}"),
            _one("Requests that fail", "percentunit", queries.error_share(watched), "{{model}}"),
            _one(
                "Failures of model servers",
                "cps",
                queries.rate(watched, "paddock_upstream_errors_total", "model, kind"),
                "{{model}} {{kind}}",
                "connect, closed, timeout, truncated or invalid",
            ),
            _one("Sent once more", "cps", queries.rate(watched, "paddock_retries_total"), "{{model}}"),
            _one("Given up by their clients", "cps", queries.rate(watched, "paddock_client_left_total"), "{{model}}"),
        ),
    )


def _tiers(watched: Watched) -> Row:
    decisions = queries.rate(watched, "paddock_decisions_total", "tier, reason")
    fallbacks = queries.rate(watched, "paddock_fallbacks_total", "from, to")
    return Row(
        "Tiers",
        (
            _one("Where requests are sent first, and why", "reqps", decisions, "{{tier}}: {{reason}}"),
            _one("Taken over by another tier", "reqps", fallbacks, "{{from}} to {{to}}"),
            _one("Refused", "reqps", queries.rate(watched, "paddock_refused_total", "by"), "{{by}}"),
        ),
    )


def _speed(watched: Watched) -> Row:
    return Row(
        "Speed",
        (
            _percentiles(watched, "Time to first token", "paddock_time_to_first_token_seconds"),
            _percentiles(watched, "Whole answer", "paddock_request_duration_seconds"),
            _one(
                "Between two tokens",
                "s",
                queries.seconds_per_token(watched),
                "{{model}}",
                "The mean, from the first token of an answer on",
            ),
            Panel(
                "Tokens in a second",
                "short",
                (
                    (queries.rate(watched, "paddock_completion_tokens_total"), "{{model}} out"),
                    (queries.rate(watched, "paddock_prompt_tokens_total"), "{{model}} in"),
                ),
            ),
        ),
    )


def _load(watched: Watched) -> Row:
    def by(labels: str, name: str) -> str:
        return f"sum by ({labels}) ({watched.series(name)})"

    return Row(
        "Load",
        (
            _one("In flight and waiting", "short", by("model", "ollama_active_requests"), "{{model}}"),
            _one(
                "In flight and waiting, every tier",
                "short",
                by("model, tier", "paddock_model_active_requests"),
                "{{model}} {{tier}}",
            ),
            _one(
                "Waiting for room", "short", by("model, tier", "paddock_queue_waiting_requests"), "{{model}} {{tier}}"
            ),
            _one(
                "In flight at endpoints",
                "short",
                by("model, endpoint", "paddock_endpoint_outstanding_requests"),
                "{{model}} {{endpoint}}",
            ),
        ),
    )


def _endpoints(watched: Watched) -> Row:
    measured = watched.series("paddock_measured_tokens_per_second")
    return Row(
        "Endpoints",
        (
            _one("Health", "bool_yes_no", queries.endpoints_up(watched), "{{model}} {{endpoint}}"),
            _one("Endpoints that answer", "short", f"sum by (model) ({queries.endpoints_up(watched)})", "{{model}}"),
            _one(
                "Circuit breakers",
                "short",
                f"sum by (model, tier, state) ({watched.series('paddock_breaker_state')})",
                "{{model}} {{tier}} {{state}}",
            ),
            _one(
                "Measured speed of a replica",
                "short",
                f"avg by (tier, model) ({measured})",
                "{{model}} {{tier}}",
                "Tokens in a second, prompt and answer",
            ),
        ),
    )


def _cache(watched: Watched) -> Row:
    saved = queries.total_rate(watched, "paddock_cache_saved_tokens_total")
    return Row(
        "Cache of answers",
        (
            _one("Hit rate", "percentunit", queries.cache_hit_share(watched), "{{model}}"),
            _one("Answers kept", "short", f"sum({watched.series('paddock_cache_entries')})", "answers"),
            _one("Memory", "bytes", f"sum({watched.series('paddock_cache_size_bytes')})", "bytes"),
            _one("Tokens not computed", "short", saved, "tokens in a second"),
        ),
    )


def _money(watched: Watched) -> Row:
    # Every router tells the same of the month: the largest is the newest.
    spent = f"max by (tier, key) ({watched.series('paddock_month_spend_usd')})"

    def by_scope(name: str) -> str:
        return f"max by (scope) ({watched.series(name)})"

    return Row(
        "Money",
        (
            _one("Spent this month, by tier", "currencyUSD", f"sum by (tier) ({spent})", "{{tier}}"),
            _one("Spent this month, by key", "currencyUSD", f"sum by (key) ({spent})", "{{key}}"),
            _one("Budget used", "percentunit", queries.budget_used(watched), "{{scope}}", "Spent or set aside"),
            Panel(
                "Budget and forecast",
                "currencyUSD",
                (
                    (by_scope("paddock_budget_usd"), "{{scope}}: budget"),
                    (by_scope("paddock_forecast_usd"), "{{scope}}: by the end of the month"),
                ),
            ),
            _one(
                "Refused for want of money",
                "cps",
                queries.rate(watched, "paddock_budget_refusals_total", "tier"),
                "{{tier}}",
            ),
            Panel(
                "Ledger",
                "short",
                (
                    (f"min({watched.series('paddock_ledger_up')})", "can be written"),
                    (f"sum({watched.series('paddock_ledger_waiting_charges')})", "charges that wait"),
                    (f"sum({watched.series('paddock_ledger_lost_charges_total')})", "charges lost"),
                ),
            ),
        ),
    )


def _experiments(watched: Watched) -> Row:
    requests = queries.rate(watched, "paddock_experiment_requests_total", "alias, arm")
    errors = queries.rate(watched, "paddock_experiment_errors_total", "alias, arm")
    slowest = queries.quantile(watched, 0.95, "paddock_experiment_request_duration_seconds", "alias, arm, ")
    first = queries.quantile(watched, 0.95, "paddock_experiment_time_to_first_token_seconds", "alias, arm, ")
    arm = "{{alias}}: {{arm}}"
    return Row(
        "A/B tests",
        (
            _one("Requests by arm", "reqps", requests, arm),
            _one("Errors by arm", "percentunit", f"{errors} / {requests}", arm),
            _one("Whole answer by arm, 95 %", "s", slowest, arm),
            _one("Time to first token by arm, 95 %", "s", first, arm),
        ),
    )


def _router(watched: Watched) -> Row:
    cpu = queries.total_rate(watched, "paddock_process_cpu_seconds_total")
    read_at = watched.series("paddock_contract_last_reload_timestamp_seconds")
    lag = tuple(
        (queries.quantile(watched, at, "paddock_event_loop_lag_seconds", by=""), text)
        for at, text in ((0.5, "50 %"), (0.99, "99 %"))
    )
    return Row(
        "Router",
        (
            _one("CPU", "percentunit", cpu, "cores", "100 % is one core"),
            _one("Memory", "bytes", f"sum({watched.series('paddock_process_resident_memory_bytes')})", "resident"),
            Panel("Late at its work", "s", lag, "How long after its time the event loop gets round to something"),
            Panel(
                "Connections and files",
                "short",
                (
                    (f"sum({watched.series('paddock_client_connections')})", "connections of clients"),
                    (f"sum({watched.series('paddock_process_open_files')})", "open files"),
                ),
            ),
            _one("Age of the contract", "s", f"time() - max({read_at})", "since it was read"),
            _one(
                "Contract usable",
                "bool_yes_no",
                f"min({watched.series('paddock_contract_last_reload_successful')})",
                "usable",
            ),
        ),
    )
