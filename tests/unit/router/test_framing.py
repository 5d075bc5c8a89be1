"""Streams are cut into lines and events the same way, wherever the network cut them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.framing import EventSplitter, LineSplitter

pytestmark = pytest.mark.unit

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at some places."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(lines=LINES, cuts=st.lists(st.integers(min_value=0, max_value=10_000)), end=st.sampled_from([b"\n", b"\r\n"]))
def test_lines_survive_any_cut(lines: list[bytes], cuts: list[int], end: bytes) -> None:
    splitter = LineSplitter()
    found = [line for piece in pieces(b"".join(line + end for line in lines), cuts) for line in splitter.feed(piece)]
    assert found == lines
    assert splitter.rest() == b""


@given(lines=LINES, cuts=st.lists(st.integers(min_value=0, max_value=10_000)))
def test_events_survive_any_cut(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(b"data: " + line + b"\n\n" for line in lines)
    splitter = EventSplitter()
    found = [event for piece in pieces(stream, cuts) for event in splitter.feed(piece)]
    assert found == lines
    assert splitter.rest() == b""


def test_what_follows_the_last_line_end_is_kept() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a": 1}\n{"b"') == [b'{"a": 1}']
    assert splitter.rest() == b'{"b"'


def test_comments_that_keep_a_connection_open_are_no_events() -> None:
    assert EventSplitter().feed(b": ping\n\ndata: 1\n\n:\n\n") == [b"1"]


def test_an_event_may_have_several_lines_of_data() -> None:
    assert EventSplitter().feed(b"event: x\ndata: 1\ndata:2\n\n") == [b"1\n2"]


@pytest.mark.parametrize("line", [b'error: {"code": 500}', b'error: {"error": {"code": 500}}'])
def test_llama_cpps_error_field_becomes_an_error(line: bytes) -> None:
    assert EventSplitter().feed(line + b"\n\n")[0].replace(b" ", b"") == b'{"error":{"code":500}}'
