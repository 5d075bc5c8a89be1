"""Plots of lines: over a load with whiskers, and over time with bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from agent_runtime.reports.elements import Html, escaped
from agent_runtime.reports.plots import HEIGHT, Axes, Key, Tick, figure, round_ticks, series


@dataclass(frozen=True)
class Point:
    """One point of a line."""

    x: float
    y: float
    text: str
    """What a reader sees who points at it."""
    low: float | None = None
    """Where its interval begins and ends, where it has one."""
    high: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a plot."""

    name: str
    points: Sequence[Point]
    dashed: bool = False
    colour: int = 0
    """Which of the colours of series, counted round."""


def line_plot(title: str, lines: Sequence[Line], *, x_title: str, y_title: str, mark: str = "") -> Html:
    """Lines over axes that begin at zero; intervals as whiskers, marked points with a ring and ``mark``.

    Nothing where there is no point.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return Html("")
    x_ticks = round_ticks(0.0, max(point.x for point in points))
    y_ticks = round_ticks(0.0, max(max(point.y, point.high or 0.0) for point in points))
    axes = Axes((0.0, x_ticks[-1]), (0.0, y_ticks[-1]))
    out = axes.drawn(_numbered(x_ticks), _numbered(y_ticks), x_title, y_title)
    for line in lines:
        paint = series(line.colour)
        places = [(axes.at_x(point.x), axes.at_y(point.y)) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashed = " dashed" if line.dashed else ""
        out.append(f'<polyline class="stroke l-{paint}{dashed}" points="{path}"/>')
        for point, (x, y) in zip(line.points, places, strict=True):
            if point.low is not None and point.high is not None:
                low, high = axes.at_y(point.low), axes.at_y(point.high)
                out.append(f'<line class="l-{paint}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
            said = f"<title>{escaped(point.text)}</title>"
            out.append(f'<circle class="f-{paint}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">{said}</circle>')
            if point.marked:
                out.append(f'<circle class="stroke l-{paint}" cx="{x:.1f}" cy="{y:.1f}" r="8"/>')
                out.append(
                    f'<text class="name" x="{x:.1f}" y="{y - 13:.1f}" text-anchor="middle">{escaped(mark)}</text>'
                )
    keys = [Key(line.name, series(line.colour), "dashed line" if line.dashed else "line") for line in lines]
    told = ". ".join(_told(line) for line in lines if line.points)
    return figure(title, told, out, height=HEIGHT, keys=keys)


def _numbered(ticks: Sequence[float]) -> list[Tick]:
    return [Tick(value, f"{value:,.10g}") for value in ticks]


def _told(line: Line) -> str:
    first, last = line.points[0].text, line.points[-1].text
    return f"{line.name}: {first}" + (f", to {last}" if len(line.points) > 1 else "")


@dataclass(frozen=True)
class Band:
    """A line over time with the interval that it lies in; what has no end is infinite."""

    name: str
    points: Sequence[tuple[float, float, float, float]]
    """(when, value, low, high), in the order of time."""


def band_plot(
    title: str,
    bands: Sequence[Band],
    *,
    reach: float,
    moment: Callable[[float], str],
    value: Callable[[float], str],
    y_title: str,
) -> Html:
    """Values over time about zero, each with its interval as a band.

    Args:
        title: What it shows.
        bands: At least one, each with a point.
        reach: How far from zero it shows at most.
        moment: A time in words.
        value: A value in words.
        y_title: What the values are.
    """
    drawn = [point for band in bands for point in band.points]
    lowest = max(min(0.0, *(low for _, _, low, _ in drawn)), -reach)
    highest = min(max(0.0, *(high for _, _, _, high in drawn)), reach)
    y_ticks = round_ticks(lowest, highest)
    first, last = min(point[0] for point in drawn), max(point[0] for point in drawn)
    axes = Axes((first, last), (y_ticks[0], y_ticks[-1]))
    x_ticks = [Tick(first, moment(first), "start")] + ([Tick(last, moment(last), "end")] if last > first else [])
    out = axes.drawn(x_ticks, [Tick(tick, value(tick) if tick else "0") for tick in y_ticks], "UTC", y_title)
    for number, band in enumerate(bands):
        paint = series(number)
        upper = [f"{axes.at_x(when):.1f},{axes.at_y(high):.1f}" for when, _, _, high in band.points]
        lower = [f"{axes.at_x(when):.1f},{axes.at_y(low):.1f}" for when, _, low, _ in band.points]
        middle = " ".join(f"{axes.at_x(when):.1f},{axes.at_y(effect):.1f}" for when, effect, _, _ in band.points)
        out.append(f'<polygon class="band f-{paint}" points="{" ".join([*upper, *reversed(lower)])}"/>')
        out.append(f'<polyline class="stroke l-{paint}" points="{middle}"/>')
        when, effect, _, _ = band.points[-1]
        x, y = axes.at_x(when), axes.at_y(effect)
        out.append(f'<circle class="f-{paint}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    told = ". ".join(f"{band.name}: {_last(band, value)}" for band in bands)
    return figure(title, told, out, height=HEIGHT, keys=[Key(b.name, series(n), "line") for n, b in enumerate(bands)])


def _last(band: Band, value: Callable[[float], str]) -> str:
    _, effect, low, high = band.points[-1]
    ends = [value(end) if isfinite(end) else "any" for end in (low, high)]
    return f"at last {value(effect)}, between {ends[0]} and {ends[1]}"
