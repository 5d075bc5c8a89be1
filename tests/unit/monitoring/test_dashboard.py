"""The dashboard: Grafana's own models read it whole, and its queries are PromQL over series that the router serves."""

from __future__ import annotations

import json
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet_spec.loading import load_spec
from fleet_spec.monitoring.dashboard import dashboard
from fleet_spec.monitoring.panels import Panel, Row
from fleet_spec.monitoring.watched import Watched, duration, matchers
from tests.unit.monitoring.served import named_in, served

pytestmark = pytest.mark.unit


@pytest.fixture
def made() -> dict[str, Any]:
    spec = load_spec({"models": {"assistant": {"model": "gemma3:270m"}}}, source="a test")
    further = Row("GPUs", (Panel("GPU utilisation", "percent", (("gpu_utilization_percent", "{{pod}}"),)),))
    return dashboard(Watched.stack(spec, "dev"), [further])


def kept(given: Any, read: Any, where: str = "") -> None:
    """What was given is found again in what was read; what Grafana fills in does not matter."""
    if isinstance(given, dict):
        assert isinstance(read, dict), where
        for key, value in given.items():
            assert key in read, f"Grafana knows no {where}.{key}"
            kept(value, read[key], f"{where}.{key}")
    elif isinstance(given, list):
        assert len(given) == len(read), where
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            kept(one, other, f"{where}[{number}]")
    else:
        assert given == read, where


def test_grafana_s_models_know_every_field_of_it(made: dict[str, Any]) -> None:
    kept(made, json.loads(json.dumps(Dashboard.from_json(made), cls=JSONEncoder)))


def test_no_panel_covers_another_and_no_two_have_one_number(made: dict[str, Any]) -> None:
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_every_query_is_promql_over_series_that_the_router_serves(made: dict[str, Any]) -> None:
    for panel in made["panels"]:
        for query in panel.get("targets", ()):
            promql_parser.parse(query["expr"])
            assert named_in(query["expr"]) <= served() | {"gpu_utilization_percent"}, panel["title"]


def test_it_shows_what_people_expect(made: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in made["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic and errors",
        "Tiers",
        "Speed",
        "Load",
        "Endpoints",
        "Cache of answers",
        "Money",
        "A/B tests",
        "Router",
        "GPUs",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m"), (3600, "1h"), (90, "90s"), (2.5, "2500ms"), (0.0001, "1ms"), (0, "1ms")]
)
def test_times_are_written_as_prometheus_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_labels_that_hold_quotation_marks_are_meant_as_they_are() -> None:
    assert matchers({"stack": 'a"b\\'}, 'x="1"') == '{stack="a\\"b\\\\",x="1"}'
