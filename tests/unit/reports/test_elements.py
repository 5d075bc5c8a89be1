"""Reports are whole, say what they are, and show every name as text, whatever it holds."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agent_runtime.reports.elements import Toned, bullets, document, escaped, heading, shortened, table
from agent_runtime.reports.style import COLOURS, SERIES, STYLE
from tests.unit.reports.samples import HOSTILE, ORDINARY, REPORTS

pytestmark = pytest.mark.unit
PAGE_STYLE = Path(__file__).parents[3] / "agent_runtime/router/page/assets/page.css"
VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """The elements of a page; it demands that each one that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


@pytest.mark.parametrize("kind", REPORTS)
def test_a_hostile_name_stays_text_everywhere(kind: str) -> None:
    """The page has the same elements and attributes' names as with a harmless name: nothing became markup."""
    hostile, harmless = Reader(REPORTS[kind](HOSTILE)), Reader(REPORTS[kind](ORDINARY))
    assert [(tag, set(given)) for tag, given in hostile.found] == [(tag, set(given)) for tag, given in harmless.found]
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in hostile.found}
    assert any("<script>alert('x')</script>" in text for text in hostile.texts)
    assert "\x00" not in "".join(hostile.texts)


@pytest.mark.parametrize("kind", REPORTS)
def test_a_report_says_what_it_is_to_everybody(kind: str) -> None:
    page = Reader(REPORTS[kind](ORDINARY))
    assert page.tags("html") == [{"lang": "en"}]
    assert len(page.tags("title")) > 0
    assert len(page.tags("h1")) == len(page.tags("main")) == 1
    assert len(page.tags("caption")) == len(page.tags("table")) > 0
    assert all(given["scope"] in ("col", "row") for given in page.tags("th"))
    regions = [given["aria-label"] for _, given in page.found if given.get("role") == "region"]
    assert len(set(regions)) == len(page.tags("table"))  # each has a name of its own
    for drawn in re.findall(r"<svg.*?</svg>", REPORTS[kind](ORDINARY), re.DOTALL):
        picture = ElementTree.fromstring(drawn)
        assert [child.tag for child in picture[:2]] == ["title", "desc"]
        assert picture[0].text
        assert picture[1].text


@pytest.mark.parametrize("kind", REPORTS)
def test_a_report_loads_nothing(kind: str) -> None:
    page = REPORTS[kind](ORDINARY)
    attributes = {name for _, given in Reader(page).found for name in given}
    assert not attributes & {"src", "href", "srcset", "data", "style", "onload", "onerror", "onclick"}
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_names_the_style_and_nothing_else() -> None:
    (policy,) = [
        given["content"] for given in Reader(document("Title", [])).tags("meta") if given.get("http-equiv") is not None
    ]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b & \"c\" 'd'", "a&lt;b &amp; &quot;c&quot; &#x27;d&#x27;"),
        ("nul\x00 escape\x1b[31m delete\x7f", "nul\ufffd escape\ufffd[31m delete\ufffd"),
        ("half a pair \ud800", "half a pair \ufffd"),
        ("lines\nand\ttabs, ä, 日本, 🦙", "lines\nand\ttabs, ä, 日本, 🦙"),
    ],
)
def test_text_is_shown_as_it_is_and_what_no_document_may_hold_is_not(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert escaped(text).encode()


def test_what_is_cut_off_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"


def test_a_table_names_its_rows_and_sets_numbers_right() -> None:
    made = table("Caption", ("who", "count", "state"), [["a", "1", Toned("bad & ugly", "bad")]], numbers=(1,))
    assert '<th scope="row">a</th><td class="n">1</td>' in made
    assert '<td><span class="tone bad">bad &amp; ugly</span></td>' in made
    assert '<th scope="col" class="n">count</th>' in made
    assert '<tr class="total"><th scope="row">sum</th>' in table("C", ("who", "n"), [], total=("sum", "1"))


def test_empty_parts_leave_nothing_behind() -> None:
    assert bullets([]) == ""
    assert "<main>\n<h2>a</h2>\n<h2>b</h2>\n</main>" in document("Title", [heading("a"), bullets([]), heading("b")])


def test_reports_have_the_colours_of_the_routers_page() -> None:
    style = PAGE_STYLE.read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    for which, block in enumerate((light, dark)):
        theirs = dict(re.findall(r"--([\w-]+): (#\w+);", block))
        assert {name: theirs.get(name) for name in COLOURS} == {name: pair[which] for name, pair in COLOURS.items()}


@pytest.mark.parametrize("which", [0, 1])
def test_every_colour_of_a_plot_stands_out_from_its_card(which: int) -> None:
    """WCAG 2.2, 1.4.11: 3:1 for graphics."""
    card = luminance(COLOURS["card"][which])
    for pair in SERIES:
        lighter, darker = sorted((card, luminance(pair[which])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, pair


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
