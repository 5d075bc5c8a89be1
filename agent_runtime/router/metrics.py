"""Counts what the router does, and writes it for Prometheus: counting must cost no more than an addition."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """How often values fell under each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = _SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """Everything the router counts. Gauges are read from the fleet's state when they are asked for."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        """By model, status and dialect."""
        self.latency: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds from the request to the end of its answer, by model and dialect."""
        self.first_byte: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds from the request to the first byte of a streamed answer, by model and dialect."""
        self.prompt_tokens: defaultdict[str, int] = defaultdict(int)
        self.completion_tokens: defaultdict[str, int] = defaultdict(int)
        self.upstream_errors: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By model and kind: connect, closed, timeout, truncated, invalid."""
        self.retries: defaultdict[str, int] = defaultdict(int)
        self.client_left: defaultdict[str, int] = defaultdict(int)
        self.reloads: defaultdict[str, int] = defaultdict(int)
        """Contracts read while running, by result: ok, failed."""
        self.last_reload_ok = True
        self.last_reload_timestamp_seconds = 0.0

    def render(
        self,
        *,
        active: Mapping[str, int],
        endpoints: Iterable[tuple[str, str, bool, int]],
        connections: int,
    ) -> str:
        """Prometheus' text format.

        Args:
            active: requests in flight and waiting, by model.
            endpoints: model, URL, whether it is up, outstanding requests.
            connections: open connections of clients.
        """
        out: list[str] = []
        _family(
            out,
            "paddock_requests",
            "counter",
            "Requests answered.",
            (
                ((("model", model), ("status", str(status)), ("dialect", dialect)), count)
                for (model, status, dialect), count in self.requests.items()
            ),
            suffix="_total",
        )
        _family(
            out,
            "ollama_active_requests",
            "gauge",
            "Requests in flight and waiting.",
            (((("model", model),), count) for model, count in active.items()),
        )
        _histograms(out, "paddock_request_duration_seconds", "To the end of the answer.", self.latency)
        _histograms(
            out,
            "paddock_time_to_first_token_seconds",
            "To the first byte of a streamed answer.",
            self.first_byte,
        )
        for name, text, counts in (
            ("paddock_prompt_tokens", "Tokens of prompts, as engines count them.", self.prompt_tokens),
            (
                "paddock_completion_tokens",
                "Tokens of answers, as counted by engines.",
                self.completion_tokens,
            ),
            ("paddock_retries", "Requests sent to another replica before the first byte.", self.retries),
            ("paddock_client_left", "Requests whose client left before the end.", self.client_left),
        ):
            _family(out, name, "counter", text, (((("model", m),), n) for m, n in counts.items()), suffix="_total")
        _family(
            out,
            "paddock_upstream_errors",
            "counter",
            "Failures of model servers.",
            (((("model", m), ("kind", k)), n) for (m, k), n in self.upstream_errors.items()),
            suffix="_total",
        )
        known = list(endpoints)
        _family(
            out,
            "paddock_endpoint_healthy",
            "gauge",
            "Whether an endpoint answers.",
            (((("model", m), ("endpoint", url)), int(up)) for m, url, up, _ in known),
        )
        _family(
            out,
            "paddock_endpoint_outstanding_requests",
            "gauge",
            "Requests sent to an endpoint and not ended.",
            (((("model", m), ("endpoint", url)), n) for m, url, _, n in known),
        )
        _family(
            out,
            "paddock_contract_reloads",
            "counter",
            "Contracts read while running.",
            (((("result", result),), n) for result, n in self.reloads.items()),
            suffix="_total",
        )
        _family(
            out,
            "paddock_contract_last_reload_successful",
            "gauge",
            "Whether the contract's file could be used when it last changed.",
            [((), int(self.last_reload_ok))],
        )
        _family(
            out,
            "paddock_contract_last_reload_timestamp_seconds",
            "gauge",
            "When the contract in use was read.",
            [((), self.last_reload_timestamp_seconds)],
        )
        _family(out, "paddock_client_connections", "gauge", "Open connections.", [((), connections)])
        return "".join(out)


def _family(
    out: list[str],
    name: str,
    kind: str,
    text: str,
    samples: Iterable[tuple[Labels, float]],
    suffix: str = "",
) -> None:
    out.append(f"# HELP {name}{suffix} {text}\n# TYPE {name}{suffix} {kind}\n")
    out += [f"{name}{suffix}{_labels(labels)} {value}\n" for labels, value in samples]


def _histograms(out: list[str], name: str, text: str, found: Mapping[tuple[str, str], Histogram]) -> None:
    out.append(f"# HELP {name} {text}\n# TYPE {name} histogram\n")
    for (model, dialect), histogram in found.items():
        labels = (("model", model), ("dialect", dialect))
        running = 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            running += count
            out.append(f"{name}_bucket{_labels((*labels, ('le', str(bound))))} {running}\n")
        out.append(f"{name}_sum{_labels(labels)} {histogram.total}\n")
        out.append(f"{name}_count{_labels(labels)} {running}\n")


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
