"""Plots of bars: lying ones with their names above them, and columns in a calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent_runtime.reports.elements import Html, escaped, shortened
from agent_runtime.reports.plots import HEIGHT, WIDTH, Axes, Key, Tick, figure, round_ticks

_ROW: Final = 44
_BAR: Final = 14
_LABEL_LENGTH: Final = 32
_DATES: Final = 6


@dataclass(frozen=True)
class Piece:
    """A part of a bar, from zero on: the longer one lies below the shorter."""

    value: float
    paint: str
    shade: Literal["", "pale", "half"] = ""


@dataclass(frozen=True)
class Bar:
    """One bar."""

    label: str
    text: str
    """Its value, in words."""
    pieces: Sequence[Piece]


def bar_plot(title: str, bars: Sequence[Bar], *, keys: Sequence[Key] = ()) -> Html:
    """A bar below each label; nothing where there are none."""
    if not bars:
        return Html("")
    most = max((piece.value for bar in bars for piece in bar.pieces), default=0.0) or 1.0
    out: list[str] = []
    for number, bar in enumerate(bars):
        top = number * _ROW
        label = escaped(shortened(bar.label, _LABEL_LENGTH))
        out.append(f'<text class="name" x="0" y="{top + 17}">{label}<title>{escaped(bar.label)}</title></text>')
        out.append(f'<text x="{WIDTH}" y="{top + 17}" text-anchor="end">{escaped(bar.text)}</text>')
        out.append(f'<rect class="track" x="0" y="{top + 24}" width="{WIDTH}" height="{_BAR}" rx="3"/>')
        for piece in sorted(bar.pieces, key=lambda one: -one.value):
            shade = f" {piece.shade}" if piece.shade else ""
            out.append(
                f'<rect class="bar f-{piece.paint}{shade}" x="0" y="{top + 24}" '
                f'width="{piece.value / most * WIDTH:.1f}" height="{_BAR}" rx="3"/>'
            )
    told = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return figure(title, told, out, height=len(bars) * _ROW, keys=keys)


def column_plot(
    title: str,
    days: Sequence[str],
    stacks: Mapping[str, Mapping[str, float]],
    *,
    paints: Mapping[str, str],
    value: Callable[[float], str],
    y_title: str,
) -> Html:
    """Stacked columns, one a day; nothing where all are empty.

    Args:
        title: What it shows.
        days: Every day, in order, as ISO dates.
        stacks: day -> part -> value.
        paints: part -> paint, from the lowest part of a column to the highest.
        value: A value in words.
        y_title: What the values are.
    """
    highest = max((sum(parts.values()) for parts in stacks.values()), default=0.0)
    if highest <= 0:
        return Html("")
    y_ticks = round_ticks(0.0, highest)
    axes = Axes((0.0, float(len(days))), (0.0, y_ticks[-1]))
    every = max(1, -(-len(days) // _DATES))
    dates = [Tick(number + 0.5, day[5:]) for number, day in enumerate(days) if number % every == 0]
    out = axes.drawn(dates, [Tick(tick, f"{tick:,.10g}") for tick in y_ticks], "day (UTC)", y_title)
    for number, day in enumerate(days):
        base = 0.0
        left, right = axes.at_x(number + 0.1), axes.at_x(number + 0.9)
        for part, amount in _ordered(stacks.get(day, {}), paints):
            low, high = axes.at_y(base), axes.at_y(base + amount)
            base += amount
            out.append(
                f'<rect class="f-{paints[part]}" x="{left:.2f}" y="{high:.2f}" width="{right - left:.2f}" '
                f'height="{low - high:.2f}"><title>{escaped(f"{day} {part}: {value(amount)}")}</title></rect>'
            )
    sums = {part: sum(parts.get(part, 0.0) for parts in stacks.values()) for part in paints}
    told = f"{days[0]} to {days[-1]}. " + "; ".join(f"{part}: {value(amount)}" for part, amount in sums.items())
    return figure(title, told, out, height=HEIGHT, keys=[Key(part, paint) for part, paint in paints.items()])


def _ordered(parts: Mapping[str, float], paints: Mapping[str, str]) -> list[tuple[str, float]]:
    return [(part, parts[part]) for part in paints if part in parts]
