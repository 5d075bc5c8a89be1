"""The frame of plots: a figure with its caption, its inline SVG, its axes and its legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent_runtime.reports.elements import Html, escaped, shortened
from agent_runtime.reports.style import SERIES

WIDTH: Final = 560
"""Of every plot, in units of its own: a pixel each on a wide screen."""
HEIGHT: Final = 250
"""Of a plot with axes."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 16, 36, 56
_TICKS: Final = 5
_LEGEND_LENGTH: Final = 40


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    name: str
    paint: str
    """One of :data:`agent_runtime.reports.style.PAINTS`."""
    form: Literal["area", "line", "dashed line", "pale area", "half area"] = "area"


def series(number: int) -> str:
    """The paint of a plot's line or bar, counted from 0; after the last they begin anew."""
    return f"s{number % len(SERIES)}"


def figure(title: str, told: str, drawn: Sequence[str], *, height: float, keys: Sequence[Key] = ()) -> Html:
    """A plot in its frame.

    Args:
        title: Its caption, and its name for a screen reader.
        told: What it shows, in words, for those who do not see it.
        drawn: Elements of SVG in a space of ``WIDTH`` by ``height``.
        height: In the same units.
        keys: What its colours mean; none where it says so itself.
    """
    legend = f'<ul class="legend">{"".join(map(_entry, keys))}</ul>' if keys else ""
    return Html(
        f'<figure class="card plot"><figcaption>{escaped(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img"><title>{escaped(title)}</title><desc>{escaped(told)}</desc>'
        f"{''.join(drawn)}</svg>{legend}</figure>"
    )


def plots(found: Sequence[Html]) -> Html:
    """Plots beside each other where there is room; nothing where there are none."""
    return Html(f'<div class="plots">{"".join(found)}</div>' if any(found) else "")


def _entry(key: Key) -> str:
    form = {"area": "", "line": " line", "dashed line": " line dashed", "pale area": " pale", "half area": " half"}
    name = escaped(shortened(key.name, _LEGEND_LENGTH))
    return f'<li><span class="key{form[key.form]} k-{key.paint}"></span>{name}</li>'


def round_ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Round numbers at even distances that begin at or below ``low`` and end at or above ``high``.

    The distance is 1, 2, 2.5 or 5 times a power of ten: the least with which there are at most ``most`` steps.
    """
    if high <= low:
        high = low + (abs(low) or 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 2.5, 5, 10, 20, 25):
        step = power * factor
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if max(last - first, 1) <= most:
            break
    return [place * step for place in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    at: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"


@dataclass(frozen=True)
class Axes:
    """From what was measured to places in a plot."""

    x: tuple[float, float]
    """The least and the most that it shows."""
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        """How far from the left."""
        low, high = self.x
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / ((high - low) or 1.0)

    def at_y(self, value: float) -> float:
        """How far from the top; what lies outside is at the edge."""
        low, high = self.y
        inside = min(max(value, low), high)
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - inside) / ((high - low) or 1.0)

    def drawn(self, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick], x_title: str, y_title: str) -> list[str]:
        """Lines at each y tick, the texts of both axes, and their titles."""
        out = [f'<text x="0" y="16">{escaped(y_title)}</text>']
        for tick in y_ticks:
            y = self.at_y(tick.at)
            kind = "zero" if tick.at == 0 else "grid"
            out.append(f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escaped(tick.text)}</text>')
        for tick in x_ticks:
            x, y = self.at_x(tick.at), HEIGHT - _BOTTOM + 21
            out.append(f'<text x="{x:.1f}" y="{y}" text-anchor="{tick.anchor}">{escaped(tick.text)}</text>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        out.append(f'<text x="{middle:g}" y="{HEIGHT - 10}" text-anchor="middle">{escaped(x_title)}</text>')
        return out
