"""What Prometheus reads."""

from __future__ import annotations

import asyncio
import re

import pytest

from agent_runtime.router.exposition import Family, Histogram, added_up, exposed, from_json, to_json
from agent_runtime.router.metrics import Metrics
from agent_runtime.router.process_metrics import ProcessMetrics
from tests.unit.router.rig import eventually

pytestmark = pytest.mark.unit

SAMPLE = re.compile(r'^[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)*\})? [0-9.e+-]+$')


def families(metrics: Metrics) -> list[Family]:
    return metrics.families(active={"m": 2}, endpoints=[("m", "http://127.0.0.1:1", True, 2)], connections=1)


def render(metrics: Metrics) -> list[str]:
    return exposed(families(metrics)).splitlines()


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


def test_what_several_workers_counted_is_added_up() -> None:
    one, two = Metrics(), Metrics()
    one.requests["m", 200, "ollama"] += 3
    two.requests["m", 200, "ollama"] += 4
    two.requests["m", 404, "ollama"] += 1
    one.latency["m", "openai"].observe(0.2)
    two.latency["m", "openai"].observe(0.3)
    one.last_reload_timestamp_seconds, two.last_reload_timestamp_seconds = 5.0, 7.0
    latest = frozenset({"paddock_contract_last_reload_timestamp_seconds"})
    lines = exposed(added_up([families(one), families(two)], latest=latest)).splitlines()
    assert 'paddock_requests_total{model="m",status="200",dialect="ollama"} 7' in lines
    assert 'paddock_requests_total{model="m",status="404",dialect="ollama"} 1' in lines
    assert 'paddock_request_duration_seconds_count{model="m",dialect="openai"} 2' in lines
    assert 'ollama_active_requests{model="m"} 4' in lines
    assert "paddock_contract_last_reload_timestamp_seconds 7.0" in lines
    assert sum(line.startswith("# TYPE paddock_requests_total ") for line in lines) == 1


def test_another_worker_reads_what_was_written_for_it() -> None:
    metrics = Metrics()
    metrics.requests['odd "name"\n\\', 200, "ollama"] += 1
    metrics.latency["m", "ollama"].observe(0.2)
    found = families(metrics)
    assert exposed(from_json(to_json(found))).splitlines() == [
        re.sub(r" (\d+)$", r" \1.0", line) if not line.startswith("#") else line for line in exposed(found).splitlines()
    ]


@pytest.mark.parametrize("text", ["", "{", "3", '[["a"]]', "[[1, 2, 3, 4]]"])
def test_what_is_no_worker_s_writing_is_told_apart(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|families|unpack"):
        from_json(text)


def test_what_all_workers_read_alike_is_no_sum() -> None:
    def told(name: str, value: float) -> list[Family]:
        return [Family(name, "gauge", "", [("", (("scope", "fleet"),), value)])]

    def together(name: str, *values: float) -> float:
        return added_up([told(name, value) for value in values])[0].samples[0][2]

    assert together("paddock_budget_usd", 1000.0, 1000.0) == 1000.0
    assert together("paddock_forecast_usd", 3.0, 4.0) == 4.0, "whoever answers has looked last"
    assert together("paddock_ledger_up", 0, 1) == 0, "one that cannot write is one too many"
    assert together("paddock_endpoint_healthy", 1, 0) == 1
    assert together("paddock_client_connections", 1, 2) == 3


def test_the_process_tells_what_it_uses() -> None:
    values = {one.name: one.samples[0][2] for one in families(Metrics()) if one.name.startswith("paddock_process")}
    assert values["paddock_process_cpu_seconds_total"] > 0
    assert values["paddock_process_resident_memory_bytes"] > 1_000_000
    assert values["paddock_process_open_files"] > 0


async def test_an_event_loop_that_is_held_up_is_seen() -> None:
    process = ProcessMetrics()
    process.families()
    loop = asyncio.get_running_loop()
    held_until = loop.time() + 0.8
    while loop.time() < held_until:
        """Nothing else gets its turn."""
    await eventually(lambda: process.lag.total)
    assert process.lag.total >= 0.2
