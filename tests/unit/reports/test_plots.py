"""Plots show every point at its place, and say in words what they show."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.reports.bars import Bar, Piece, bar_plot, column_plot
from agent_runtime.reports.elements import Html
from agent_runtime.reports.lines import Band, Line, Point, band_plot, line_plot
from agent_runtime.reports.plots import WIDTH, Axes, plots, round_ticks, series
from agent_runtime.reports.style import PAINTS, SERIES

pytestmark = pytest.mark.unit


def drawing(figure: Html) -> ElementTree.Element:
    found = re.search(r"<svg.*</svg>", figure, re.DOTALL)
    assert found is not None
    return ElementTree.fromstring(found[0])


def described(figure: Html) -> str:
    text = drawing(figure).findtext("desc")
    assert text is not None
    return text


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_even_and_reach_around_everything(low: float, span: float) -> None:
    ticks = round_ticks(low, low + span)
    assert 2 <= len(ticks) <= 6
    slack = (abs(low) + span) * 1e-6
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) - min(steps) <= slack
    assert sum(steps) <= 6 * span + slack  # most of the plot is not empty


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 4, [0, 1, 2, 3, 4]),
        (0, 1900, [0, 500, 1000, 1500, 2000]),
        (-0.3, 0.5, [-0.4, -0.2, 0, 0.2, 0.4, 0.6]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_lines_hold_every_point_and_mark_the_knee() -> None:
    points = [Point(1, 10, "one", 8, 12), Point(4, 30, "four", marked=True)]
    made = line_plot("Latency", [Line("a", points)], x_title="load", y_title="ms", mark="knee")
    drawn = drawing(made)
    assert len(drawn.findall("circle")) == 3
    assert ">knee<" in made
    assert described(made) == "a: one, to four"
    whisker = [line for line in drawn.findall("line") if line.get("class") == f"l-{series(0)}"]
    assert len(whisker) == 1
    first, last = (float(circle.get("cy", "nan")) for circle in drawn.findall("circle")[:2])
    assert last < first  # more is higher up


def test_there_is_no_plot_of_nothing() -> None:
    assert line_plot("Latency", [], x_title="load", y_title="ms") == ""
    assert bar_plot("Memory", []) == ""
    assert column_plot("Spend", ["2026-11-01"], {}, paints={}, value=str, y_title="USD") == ""
    assert plots([Html(""), Html("")]) == ""


def test_bars_are_as_long_as_their_values_and_the_shorter_lies_on_top() -> None:
    made = bar_plot(
        "Cost", [Bar("a", "1 to 2", [Piece(1, "s0"), Piece(2, "s0", "pale")]), Bar("b", "4", [Piece(4, "s1")])]
    )
    bars = [one for one in drawing(made).findall("rect") if "bar" in one.get("class", "")]
    assert [float(one.get("width", "nan")) for one in bars] == pytest.approx([WIDTH / 2, WIDTH / 4, WIDTH])
    assert [one.get("class") for one in bars] == ["bar f-s0 pale", "bar f-s0", "bar f-s1"]
    assert described(made) == "a: 1 to 2; b: 4"


def test_columns_stack_in_the_order_of_their_paints_and_keep_empty_days() -> None:
    days = ["2026-11-01", "2026-11-02", "2026-11-03"]
    spent = {"2026-11-01": {"cloud": 1.0, "local": 3.0}, "2026-11-03": {"local": 2.0}}
    made = column_plot("Spend", days, spent, paints={"local": "local", "cloud": "cloud"}, value=str, y_title="USD")
    columns = drawing(made).findall("rect")
    assert [one.findtext("title") for one in columns] == [
        "2026-11-01 local: 3.0",
        "2026-11-01 cloud: 1.0",
        "2026-11-03 local: 2.0",
    ]
    local, cloud, late = (
        {name: float(one.get(name, "nan")) for name in ("x", "y", "width", "height")} for one in columns
    )
    assert cloud["y"] + cloud["height"] == pytest.approx(local["y"], abs=0.02)
    assert local["height"] == pytest.approx(3 * cloud["height"], rel=0.01)
    assert late["x"] - local["x"] == pytest.approx(2 * local["width"] / 0.8, abs=0.1)  # the empty day has its place
    assert described(made) == "2026-11-01 to 2026-11-03. local: 5.0; cloud: 1.0"


def test_a_band_without_an_end_stays_in_the_plot() -> None:
    band = Band("b", [(0.0, 0.1, -5.0, float("inf")), (60.0, 0.2, 0.1, 0.3)])
    made = band_plot("Effect", [band], reach=0.9, moment=str, value=lambda value: f"{value:+.1f}", y_title="difference")
    (area,) = drawing(made).findall("polygon")
    heights = [float(place.split(",")[1]) for place in area.get("points", "").split()]
    axes = Axes((0, 60), (-1, 1))
    assert axes.at_y(1) <= min(heights)
    assert max(heights) <= axes.at_y(-1)
    assert described(made) == "b: at last +0.2, between +0.1 and +0.3"
    assert ">0<" in made


def test_colours_begin_anew_after_the_last() -> None:
    assert series(len(SERIES)) == series(0)
    assert {series(number) for number in range(99)} <= set(PAINTS)
