"""One plain form for every way of writing."""

# ruff: noqa: RUF001 - letters and digits that look like others are what is tested

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.prompts.patterns import PatternSet
from agent_runtime.router.prompts.plain import HIDINGS, plain

pytestmark = pytest.mark.unit


def revealed(text: str) -> str:
    cues = PatternSet([hiding.cue for hiding in HIDINGS])
    return "\n".join(HIDINGS[index].reveal(text) for index in cues.found(text.encode()))


@pytest.mark.parametrize(
    ("written", "simple"),
    [
        ("Straße, Łódź, São Paulo, crème brûlée", "Strasse, Lodz, Sao Paulo, creme brulee"),
        ("４１１１ ＠ ｘ．ｙ", "4111 @ x.y"),
        ("٠١٢٣ ०१२", "0123 012"),
        ("a\u200bb\u00adc\ufeffd", "abcd"),
        ("1\u00a02\u20073\u2011four\u2014\u2212", "1 2 3-four--"),
        ("„a“ «b» \u2018c\u2019", '"a" "b" \'c\''),
        ("plain ASCII, as it is", "plain ASCII, as it is"),
        ("東京 Москва", "東京 Москва"),
    ],
)
def test_one_form(written: str, simple: str) -> None:
    assert plain(written) == simple


@given(st.text())
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("hidden", "open_text"),
    [
        ("joe&#64;x&#46;de", "joe@x.de"),
        ("joe%40x%2Ede", "joe@x.de"),
        (r"joe\u0040x.de", "joe@x.de"),
        ("mail: j o e @ x . d e please", "joe@x.de"),
        ("two double three triple four, one oh", "2334441 0".replace(" ", "")),
        ("zwei drei vier fünf sechs sieben acht", "2345678"),
        (base64.b64encode(b"hidden in base64, as text").decode(), "hidden in base64, as text"),
        (base64.urlsafe_b64encode("größer als ÿÿÿ und mehr".encode()).decode(), "grosser als yyy und mehr"),
    ],
)
def test_simple_codes_are_written_out(hidden: str, open_text: str) -> None:
    assert open_text in revealed(plain(hidden))


def test_bytes_in_base64_are_no_text() -> None:
    assert revealed(base64.b64encode(bytes(range(200, 256))).decode()).strip() == ""


def test_ordinary_text_hides_nothing() -> None:
    assert revealed("A one, a two: I am on the way, 5 % of it at least.") == ""
