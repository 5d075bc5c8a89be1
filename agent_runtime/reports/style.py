"""The look of every report: the router page's colours, by day, by night, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "back": ("#f4f6f9", "#0e131a"),
    "card": ("#fff", "#161d26"),
    "ink": ("#17202c", "#e7ecf3"),
    "muted": ("#556070", "#a4b0c0"),
    "line": ("#d8dee7", "#2c3744"),
    "soft": ("#eef2f7", "#1e2732"),
    "accent": ("#1d5bb8", "#86b5ff"),
    "good": ("#17693f", "#6fdaa4"),
    "warn": ("#855000", "#f2bd66"),
    "bad": ("#b3261e", "#ff9a90"),
    "good-soft": ("#e2f3ea", "#16301f"),
    "warn-soft": ("#fcf0dc", "#362a12"),
    "bad-soft": ("#fce8e6", "#3a1a18"),
    "local": ("#1f7a55", "#4fb98a"),
    "cloud": ("#2f6db5", "#6ea8ef"),
    "commercial": ("#b4551a", "#ef9a5b"),
}
"""Each name's colour on a light and on a dark screen. Paper has the light ones."""
SERIES: Final = (
    ("#2f6db5", "#6ea8ef"),
    ("#b4551a", "#ef9a5b"),
    ("#1f7a55", "#4fb98a"),
    ("#8444a0", "#cb97e6"),
    ("#b03a48", "#f08a96"),
    ("#66741d", "#b9c75f"),
    ("#1e7f8d", "#5fc3d1"),
    ("#75583a", "#cba57d"),
)
"""The colours that tell the lines and bars of a plot apart; each is 3:1 or more against its card."""


def _variables(which: int) -> str:
    named = {**COLOURS, **{f"s{number}": pair for number, pair in enumerate(SERIES)}}
    return " ".join(f"--{name}: {pair[which]};" for name, pair in named.items())


def _painted(name: str) -> str:
    """What a plot's shapes and its legend's keys take from a colour."""
    return (
        f".f-{name} {{ fill: var(--{name}); }} .l-{name} {{ stroke: var(--{name}); fill: none; }} "
        f".k-{name} {{ background: var(--{name}); border-color: var(--{name}); }}"
    )


PAINTS: Final = ("local", "cloud", "commercial", "muted", *(f"s{number}" for number in range(len(SERIES))))
"""What a bar or a line may be painted with."""
_RULES: Final = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
header, main { max-width: 1200px; margin: 0 auto; padding: 0 1.2rem; } main { padding-bottom: 3rem; }
header { padding-top: 1.6rem; } .brand { margin: 0; font-weight: 700; color: var(--muted); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .1rem 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .7rem; }
h1, h2, p, li, dt, dd, figcaption, tbody th { overflow-wrap: anywhere; }
p { margin: 0 0 .6rem; } .muted { color: var(--muted); } .small { font-size: .9rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 0 0 .8rem; }
ul.card { padding-left: 2.2rem; } ul.card li + li { margin-top: .25rem; }
.verdict { border-left: 5px solid var(--accent); } .verdict p { margin: 0; font-weight: 600; }
.verdict.good { border-left-color: var(--good); background: var(--good-soft); }
.verdict.warn { border-left-color: var(--warn); background: var(--warn-soft); }
.verdict.bad { border-left-color: var(--bad); background: var(--bad-soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: .8rem;
  margin: 0 0 .8rem; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem;
  display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.figures dt { color: var(--muted); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.meanings { columns: 26rem 2; column-gap: 2rem; } .meanings div { break-inside: avoid; padding-bottom: .5rem; }
.meanings dt { font-weight: 600; } .meanings dd { margin: 0; color: var(--muted); }
.scroll { overflow-x: auto; padding: 0; position: relative; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .4rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td { min-width: 5.2rem; max-width: 30rem; overflow-wrap: break-word; } td.text { min-width: 9rem; }
th, td, li, dt, dd, text { unicode-bidi: isolate; }
thead th { font-size: .82rem; color: var(--muted); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 10rem; max-width: 24rem; } tbody tr:last-child > * { border-bottom: 0; }
tr.total > * { font-weight: 650; background: var(--soft); }
th.n, td.n { text-align: right; white-space: nowrap; min-width: 0; }
.wide { font-size: .85rem; } .wide th, .wide td { padding: .35rem .45rem; }
.wide th.n, .wide td.n { white-space: normal; } .wide thead th { min-width: 3.6rem; } td.long { min-width: 14rem; }
.tone { font-weight: 600; white-space: nowrap; }
.tone.good { color: var(--good); } .tone.good::before { content: "● "; }
.tone.warn { color: var(--warn); } .tone.warn::before { content: "◆ "; }
.tone.bad { color: var(--bad); } .tone.bad::before { content: "▲ "; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: .8rem;
  margin-bottom: .8rem; align-items: start; }
.plot { margin: 0; min-width: 0; } .plot figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .5rem; }
svg { display: block; width: 100%; max-width: 760px; height: auto; }
svg text { fill: var(--muted); font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg text.name { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.grid { stroke: var(--line); } .zero { stroke: var(--muted); }
.track { fill: var(--soft); } .stroke { stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.band { opacity: .18; } .pale { opacity: .4; } .half { opacity: .65; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .88rem; list-style: none; padding: 0;
  margin: .5rem 0 0; color: var(--muted); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em;
  vertical-align: -.05em; }
.key.line { width: 1.5em; height: 0; border-radius: 0; border-top-width: 3px; border-top-style: solid;
  vertical-align: .25em; background: none; }
.key.line.dashed { border-top-style: dashed; }
@media (max-width: 760px) {
  header, main { padding-left: .8rem; padding-right: .8rem; } .figures { grid-template-columns: 1fr 1fr; }
  .figures dd { font-size: 1.15rem; } th, td { padding: .4rem .6rem; } tbody th { min-width: 7.2rem; }
  .card { padding: .8rem; } .scroll { padding: 0; }
  ul.card { padding-left: 1.7rem; } svg text { font-size: 18px; }
  .wide td.n { white-space: nowrap; }
}
@media print {
  body { background: none; font-size: 10pt; } header, main { max-width: none; padding: 0; }
  .card, .figures div { break-inside: avoid; } .scroll { overflow: visible; break-inside: auto; }
  tr { break-inside: avoid; }
  table { font-size: 8pt; } table.wide, .wide thead th { font-size: 6.5pt; }
  th, td, .wide th, .wide td { padding: .2rem .3rem; }
  td, td.long, tbody th, .wide thead th { min-width: 0; } svg text { font-size: 17px; }
  th.n, td.n, .wide td.n, thead th { white-space: normal; } h2 { break-after: avoid; }
  .plots { grid-template-columns: 1fr 1fr; } * { print-color-adjust: exact; }
}
"""
STYLE: Final = "\n".join(
    [
        f":root {{ color-scheme: light; {_variables(0)} }}",
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {_variables(1)} }} }}",
        _RULES.strip(),
        *map(_painted, PAINTS),
    ]
)
"""The whole style sheet."""
