"""Line plots and bars as inline SVG: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

COLOURS: Final = ("#3a6ea5", "#c2621b", "#2f7d5b", "#8a4fa3", "#b03a48", "#6b7a1f", "#2a8c9c", "#7a5c3e")
_WIDTH: Final = 760
_HEIGHT: Final = 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 58
_TICKS: Final = 5
_ROW, _BAR, _LABELS, _VALUES = 26, 16, 200, 130


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
    """Which of :data:`COLOURS`, counted round."""


def line_plot(lines: Sequence[Line], *, x_title: str, y_title: str, mark: str = "") -> str:
    """Lines over one pair of axes that begin at zero; intervals as whiskers, marked points with a ring and ``mark``."""
    points = [point for line in lines for point in line.points]
    if not points:
        return "<p>Nothing was measured.</p>"
    x_most = _round_up(max(point.x for point in points))
    y_most = _round_up(max(max(point.y, point.high or 0.0) for point in points))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / x_most * wide, _TOP + high * (1 - y / y_most)

    out = [_axes(x_most, y_most, x_title, y_title)]
    for line in lines:
        colour = COLOURS[line.colour % len(COLOURS)]
        places = [at(point.x, point.y) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for point, (x, y) in zip(line.points, places, strict=True):
            if point.low is not None and point.high is not None:
                low, top = at(0, point.low)[1], at(0, point.high)[1]
                out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{top:.1f}" stroke="{colour}"/>')
            title = f"<title>{escape(point.text)}</title>"
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">{title}</circle>')
            if point.marked:
                out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{colour}" stroke-width="2"/>')
                out.append(f'<text x="{x + 11:.1f}" y="{y - 9:.1f}">{escape(mark)}</text>')
    out.append(_legend(lines))
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_title)}">{"".join(out)}</svg>'


def _axes(x_most: float, y_most: float, x_title: str, y_title: str) -> str:
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    out: list[str] = []
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        x, y = _LEFT + wide * share, _TOP + high * (1 - share)
        out.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        out.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{y_most * share:.4g}</text>')
        out.append(f'<text x="{x:.1f}" y="{_TOP + high + 16}" text-anchor="middle">{x_most * share:.4g}</text>')
    out.append(f'<text x="{_LEFT + wide / 2}" y="{_TOP + high + 32}" text-anchor="middle">{escape(x_title)}</text>')
    middle = _TOP + high / 2
    out.append(f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">')
    return "".join(out) + f"{escape(y_title)}</text>"


def _legend(lines: Sequence[Line]) -> str:
    out: list[str] = []
    room = (_WIDTH - _LEFT) / max(len(lines), 1)
    for number, line in enumerate(lines):
        x, y = _LEFT + number * room, _HEIGHT - 12
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        colour = COLOURS[line.colour % len(COLOURS)]
        out.append(f'<line x1="{x:.0f}" x2="{x + 20:.0f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{x + 25:.0f}" y="{y + 4}">{escape(line.name[: max(int(room / 8), 8)])}</text>')
    return "".join(out)


def bars(values: Sequence[tuple[str, float, str]]) -> str:
    """A bar for each (label, value, what stands behind it)."""
    most = max((value for _, value, _ in values), default=0.0) or 1.0
    room = _WIDTH - _LABELS - _VALUES
    out: list[str] = []
    for number, (label, value, text) in enumerate(values):
        top = number * _ROW + 4
        width = value / most * room
        out.append(f'<text x="0" y="{top + 13}">{escape(label[:28])}</text>')
        out.append(
            f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" '
            f'fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        out.append(f'<text x="{_LABELS + width + 6:.1f}" y="{top + 13}">{escape(text)}</text>')
    height = max(len(values) * _ROW + 8, _ROW)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="bars">{"".join(out)}</svg>'


def _round_up(value: float) -> float:
    """The next number of the form 1, 1.5, 2, 3, 5 or 7.5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= value * (1 - 1e-9))
