"""Counts what the router does: counting must cost no more than an addition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from agent_runtime.router.exposition import Family, Histogram, family, histograms
from agent_runtime.router.process_metrics import ProcessMetrics


class Metrics:
    """Everything the router counts. Gauges are read from the fleet's state when they are asked for."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        """By model, status and dialect."""
        self.latency: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds from the request to the end of its answer, by model and dialect."""
        self.first_byte: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds from the request to the first byte of its answer, by model and dialect."""
        self.prompt_tokens: defaultdict[str, int] = defaultdict(int)
        self.completion_tokens: defaultdict[str, int] = defaultdict(int)
        self.upstream_errors: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By model and kind: connect, closed, timeout, truncated, invalid."""
        self.retries: defaultdict[str, int] = defaultdict(int)
        self.client_left: defaultdict[str, int] = defaultdict(int)
        self.decisions: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Requests by tier that they were sent to first, and the reason."""
        self.fallbacks: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Requests that a tier could not answer and another took, by both."""
        self.refused: defaultdict[str, int] = defaultdict(int)
        """By the code of the error that they were answered with, such as ``private_prompt``."""
        self.reloads: defaultdict[str, int] = defaultdict(int)
        """Contracts read while running, by result: ok, failed."""
        self.last_reload_ok = True
        self.last_reload_timestamp_seconds = 0.0
        self.process = ProcessMetrics()

    def families(
        self,
        *,
        active: Mapping[str, int],
        endpoints: Iterable[tuple[str, str, bool, int]],
        connections: int,
    ) -> list[Family]:
        """Everything counted, and the gauges.

        Args:
            active: requests in flight and waiting, by model.
            endpoints: model, URL, whether it is up, outstanding requests.
            connections: open connections of clients.
        """
        known = list(endpoints)
        return [
            family(
                "paddock_requests_total",
                "counter",
                "Requests answered.",
                (
                    ((("model", model), ("status", str(status)), ("dialect", dialect)), count)
                    for (model, status, dialect), count in self.requests.items()
                ),
            ),
            family(
                "ollama_active_requests",
                "gauge",
                "Requests in flight and waiting.",
                (((("model", model),), count) for model, count in active.items()),
            ),
            histograms(
                "paddock_request_duration_seconds", "To the end of the answer.", ("model", "dialect"), self.latency
            ),
            histograms(
                "paddock_time_to_first_token_seconds",
                "To the first byte of the answer.",
                ("model", "dialect"),
                self.first_byte,
            ),
            *self._by_model(),
            _pairs(
                "paddock_upstream_errors_total", "Failures of model servers.", ("model", "kind"), self.upstream_errors
            ),
            _pairs(
                "paddock_decisions_total", "Requests by where they were sent first.", ("tier", "reason"), self.decisions
            ),
            _pairs("paddock_fallbacks_total", "Requests that another tier took.", ("from", "to"), self.fallbacks),
            family(
                "paddock_refused_total",
                "counter",
                "Requests refused, by what refused them.",
                (((("by", by),), n) for by, n in self.refused.items()),
            ),
            family(
                "paddock_endpoint_healthy",
                "gauge",
                "Whether an endpoint answers.",
                (((("model", m), ("endpoint", url)), int(up)) for m, url, up, _ in known),
            ),
            family(
                "paddock_endpoint_outstanding_requests",
                "gauge",
                "Requests sent to an endpoint and not ended.",
                (((("model", m), ("endpoint", url)), n) for m, url, _, n in known),
            ),
            family(
                "paddock_contract_reloads_total",
                "counter",
                "Contracts read while running.",
                (((("result", result),), n) for result, n in self.reloads.items()),
            ),
            family(
                "paddock_contract_last_reload_successful",
                "gauge",
                "Whether the contract's file could be used when it last changed.",
                [((), int(self.last_reload_ok))],
            ),
            family(
                "paddock_contract_last_reload_timestamp_seconds",
                "gauge",
                "When the contract in use was read.",
                [((), self.last_reload_timestamp_seconds)],
            ),
            family("paddock_client_connections", "gauge", "Open connections.", [((), connections)]),
            *self.process.families(),
        ]

    def _by_model(self) -> list[Family]:
        return [
            family(f"{name}_total", "counter", text, (((("model", m),), n) for m, n in counts.items()))
            for name, text, counts in (
                ("paddock_prompt_tokens", "Tokens of prompts, as engines count them.", self.prompt_tokens),
                ("paddock_completion_tokens", "Tokens of answers, as counted by engines.", self.completion_tokens),
                ("paddock_retries", "Requests sent to another replica before the first byte.", self.retries),
                ("paddock_client_left", "Requests whose client left before the end.", self.client_left),
            )
        ]


def _pairs(name: str, text: str, labels: tuple[str, str], counts: Mapping[tuple[str, str], int]) -> Family:
    return family(name, "counter", text, ((((labels[0], a), (labels[1], b)), n) for (a, b), n in counts.items()))
