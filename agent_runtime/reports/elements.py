"""What reports are made of: the document, its tables, lists, figures and verdicts."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NewType

from agent_runtime.reports.style import STYLE

Html = NewType("Html", str)
"""Markup. Only what this room has made, and what a caller takes the responsibility for, is that; all else is text."""
Tone = Literal["good", "warn", "bad"]
_MANY_COLUMNS: Final = 10
"""From more columns on, a table is set smaller."""
_LONG_CELL: Final = 40
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Toned:
    """Text of a cell that is good or bad news: it gets a colour and, for those who see none, a sign."""

    text: str
    tone: Tone


Cell = str | Toned


def escaped(text: str) -> Html:
    """Text as markup that shows it, in elements and in attributes; what no document may hold is shown as U+FFFD."""
    return Html(html.escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)))


def shortened(text: str, length: int) -> str:
    """Text of at most ``length`` characters, with an ellipsis where it was longer."""
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def document(title: str, parts: Sequence[Html], *, about: str = "") -> str:
    """A whole page. Its policy lets no script run and nothing be fetched, whatever it may hold.

    Args:
        title: Also the first heading.
        parts: From top to bottom.
        about: A line below the heading: when, what of, how.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    below = f'\n<p class="muted">{escaped(about)}</p>' if about else ""
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<p class="brand">Paddock</p>\n<h1>{escaped(title)}</h1>{below}\n</header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(text: str) -> Html:
    """The heading of a section."""
    return Html(f"<h2>{escaped(text)}</h2>")


def paragraph(text: str) -> Html:
    """Plain text of its own."""
    return Html(f"<p>{escaped(text)}</p>")


def note(text: str) -> Html:
    """Small print: a method, a source."""
    return Html(f'<p class="muted small">{escaped(text)}</p>')


def verdict(text: str, tone: Tone) -> Html:
    """What the whole report comes to, for somebody who reads nothing else."""
    return Html(f'<div class="card verdict {tone}"><p>{escaped(text)}</p></div>')


def bullets(texts: Sequence[str]) -> Html:
    """A list; nothing where there is nothing to list."""
    return Html(f'<ul class="card">{_items(texts)}</ul>' if texts else "")


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{escaped(text)}</li>" for text in texts)


def figures(pairs: Sequence[tuple[str, str]]) -> Html:
    """The few figures that matter most, large: (what it is, its value)."""
    cards = "".join(f"<div><dt>{escaped(what)}</dt><dd>{escaped(value)}</dd></div>" for what, value in pairs)
    return Html(f'<dl class="figures">{cards}</dl>')


def meanings(terms: Mapping[str, str]) -> Html:
    """Terms, and what each means."""
    pairs = "".join(f"<div><dt>{escaped(term)}</dt><dd>{escaped(text)}</dd></div>" for term, text in terms.items())
    return Html(f'<dl class="card meanings">{pairs}</dl>')


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    numbers: Collection[int] = (),
    total: Sequence[Cell] | None = None,
) -> Html:
    """A table whose first cells name its rows. A narrow screen scrolls it, by touch or by keyboard.

    Args:
        caption: What it is, for those who do not see it; one of its own on each page.
        columns: The headings.
        rows: Their cells.
        numbers: Which columns, counted from 0, hold numbers, and so stand at the right.
        total: The last row, where it adds up the others.
    """
    head = "".join(
        f'<th scope="col"{_aligned(place, numbers)}>{escaped(column)}</th>' for place, column in enumerate(columns)
    )
    body = "".join(_row(row, numbers) for row in rows)
    wide = ' class="wide"' if len(columns) > _MANY_COLUMNS else ""
    last = _row(total, numbers, ' class="total"') if total is not None else ""
    return Html(
        f'<div class="card scroll" role="region" aria-label="{escaped(caption)}" tabindex="0"><table{wide}>'
        f'<caption class="unseen">{escaped(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}{last}</tbody></table></div>"
    )


def _row(cells: Sequence[Cell], numbers: Collection[int], marks: str = "") -> str:
    out: list[str] = []
    for place, cell in enumerate(cells):
        text = (
            f'<span class="tone {cell.tone}">{escaped(cell.text)}</span>' if isinstance(cell, Toned) else escaped(cell)
        )
        out.append(f'<th scope="row">{text}</th>' if place == 0 else f"<td{_kind(cell, place, numbers)}>{text}</td>")
    return f"<tr{marks}>{''.join(out)}</tr>"


def _kind(cell: Cell, place: int, numbers: Collection[int]) -> str:
    if place not in numbers and isinstance(cell, str) and len(cell) > _LONG_CELL:
        return ' class="long"'
    return _aligned(place, numbers)


def _aligned(place: int, numbers: Collection[int]) -> str:
    return ' class="n"' if place in numbers else ""
