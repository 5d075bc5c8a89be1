"""What Prometheus reads."""

from __future__ import annotations

import re

import pytest

from agent_runtime.router.metrics import Histogram, Metrics

pytestmark = pytest.mark.unit

SAMPLE = re.compile(r'^[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)*\})? [0-9.e+-]+$')


def render(metrics: Metrics) -> list[str]:
    return metrics.render(active={"m": 2}, endpoints=[("m", "http://127.0.0.1:1", True, 2)], connections=1).splitlines()


def test_every_line_is_a_comment_or_a_sample() -> None:
    metrics = Metrics()
    metrics.requests['odd "name"\n\\', 200, "ollama"] += 1
    metrics.latency["m", "ollama"].observe(0.2)
    for line in render(metrics):
        assert line.startswith("# ") or SAMPLE.match(line), line


def test_names_that_users_look_for_are_there() -> None:
    metrics = Metrics()
    metrics.requests["m", 200, "ollama"] += 3
    lines = render(metrics)
    assert 'paddock_requests_total{model="m",status="200",dialect="ollama"} 3' in lines
    assert 'ollama_active_requests{model="m"} 2' in lines
    assert 'paddock_endpoint_healthy{model="m",endpoint="http://127.0.0.1:1"} 1' in lines
    assert "paddock_contract_last_reload_successful 1" in lines


def test_buckets_add_up() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99):
        histogram.observe(value)
    metrics = Metrics()
    metrics.latency["m", "openai"] = histogram
    found = [line for line in render(metrics) if line.startswith("paddock_request_duration_seconds")]
    labels = 'model="m",dialect="openai"'
    assert found == [
        f'paddock_request_duration_seconds_bucket{{{labels},le="1.0"}} 2',
        f'paddock_request_duration_seconds_bucket{{{labels},le="2.0"}} 3',
        f'paddock_request_duration_seconds_bucket{{{labels},le="+Inf"}} 4',
        f"paddock_request_duration_seconds_sum{{{labels}}} 102.0",
        f"paddock_request_duration_seconds_count{{{labels}}} 4",
    ]
