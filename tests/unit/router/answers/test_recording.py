"""Answers are written down as they go by, whatever way they take to the client."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.answers.recording import Recording, Room, fresh_id, without_chunks
from agent_runtime.router.dialects.operations import OLLAMA_CHAT, OPENAI_CHAT, Operation
from agent_runtime.router.dialects.usage import Usage
from tests.unit.router.rig import OLLAMA_DONE, ndjson, ollama_line, openai_chunk, openai_end, openai_whole, sse
from tests.unit.router.test_framing import pieces

pytestmark = pytest.mark.unit

EVENTS = sse(openai_chunk(content="a"), openai_chunk(content="b"), openai_end(), b"[DONE]")
LINES = ndjson(ollama_line("a"), ollama_line("b"), ollama_line(**OLLAMA_DONE))
CUTS = st.lists(st.integers(0, 2000), max_size=20)


class Kept:
    """What was kept, and a recording that keeps it."""

    def __init__(self, operation: Operation, *, streamed: bool = True, limit_bytes: int = 1 << 20, room: int = 1 << 20):
        self.head = self.body = b""
        self.chunked = False
        self.usage: Usage | None = None
        self.reply_id: str | None = None
        self.room = Room(room)
        self.recording = Recording(
            operation, streamed=streamed, choices=1, limit_bytes=limit_bytes, room=self.room, keep=self._keep
        )

    def _keep(self, head: bytes, body: bytes, chunked: bool, usage: Usage | None, reply_id: str | None) -> None:
        self.head, self.body, self.chunked, self.usage, self.reply_id = head, body, chunked, usage, reply_id

    def play(self, *parts: bytes, status: int = 200, chunked: bool = False) -> bool:
        self.recording.begin(status, "text/event-stream", {"X-Paddock-Model": "m"}, chunked=chunked)
        for part in parts:
            self.recording.write(part)
        return self.recording.end(Usage(7, 2))


def in_chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


@given(cuts=CUTS)
@pytest.mark.parametrize(("operation", "stream"), [(OPENAI_CHAT, EVENTS), (OLLAMA_CHAT, LINES)])
def test_a_stream_is_kept_event_by_event_however_it_was_cut(
    operation: Operation, stream: bytes, cuts: list[int]
) -> None:
    kept = Kept(operation)
    assert kept.play(*pieces(stream, cuts))
    assert without_chunks(kept.body) == stream
    ends = b"\n\n" if operation is OPENAI_CHAT else b"\n"
    assert kept.body == in_chunks([part + ends for part in stream.split(ends) if part])
    assert kept.chunked
    assert kept.usage == Usage(7, 2)
    assert b"Content-Type: text/event-stream\r\n" in kept.head
    assert b"X-Paddock-Model: m\r\n" in kept.head


@given(cuts=CUTS, reads=CUTS)
def test_a_stream_that_is_handed_on_with_its_framing_is_the_same(cuts: list[int], reads: list[int]) -> None:
    framed, plain = Kept(OPENAI_CHAT), Kept(OPENAI_CHAT)
    assert framed.play(*pieces(in_chunks(pieces(EVENTS, cuts)), reads), chunked=True)
    assert plain.play(EVENTS)
    assert framed.body == plain.body


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_framing_that_does_not_end_is_no_answer(cut: int) -> None:
    assert not Kept(OPENAI_CHAT).play(in_chunks([EVENTS])[:-cut], chunked=True)


def test_framing_that_is_none_is_no_answer() -> None:
    assert not Kept(OPENAI_CHAT).play(b"zz\r\n" + EVENTS, chunked=True)


def test_a_whole_answer_is_kept_as_it_is() -> None:
    body = json.dumps(openai_whole()).encode()
    kept = Kept(OPENAI_CHAT, streamed=False)
    assert kept.play(body[:10], body[10:])
    assert (kept.body, kept.chunked) == (body, False)


@pytest.mark.parametrize("status", [201, 400, 429, 500, 503])
def test_only_good_answers_are_kept(status: int) -> None:
    assert not Kept(OPENAI_CHAT).play(EVENTS, status=status)


def test_half_an_answer_is_not_kept() -> None:
    assert not Kept(OPENAI_CHAT).play(EVENTS[:-20])


def test_an_abandoned_recording_keeps_nothing_and_gives_its_room_back() -> None:
    kept = Kept(OPENAI_CHAT, room=1 << 20)
    kept.recording.begin(200, "text/event-stream", {})
    kept.recording.write(EVENTS)
    assert kept.room.left_bytes < 1 << 20
    kept.recording.abandon()
    kept.recording.write(EVENTS)
    assert not kept.recording.end(None)
    assert kept.room.left_bytes == 1 << 20


def test_an_answer_that_grows_too_large_is_given_up_on_the_way() -> None:
    kept = Kept(OPENAI_CHAT, limit_bytes=100_000)
    kept.recording.begin(200, "text/event-stream", {})
    for _ in range(100):
        kept.recording.write(bytes(2000))
    assert not kept.recording.open
    assert kept.room.left_bytes == 1 << 20


def test_tiny_pieces_count_with_the_memory_that_holds_them() -> None:
    kept = Kept(OPENAI_CHAT, limit_bytes=100_000)
    kept.recording.begin(200, "text/event-stream", {})
    for _ in range(10_000):
        kept.recording.write(b".")
    assert not kept.recording.open


def test_recordings_share_their_room() -> None:
    first, second = Kept(OPENAI_CHAT, room=100_000), Kept(OPENAI_CHAT)
    second.recording = Recording(
        OPENAI_CHAT, streamed=True, choices=1, limit_bytes=1 << 20, room=first.room, keep=second._keep
    )
    assert [kept.play(EVENTS) for kept in (first, second)] == [True, True]
    first.recording.begin(200, "", {})
    first.recording.write(bytes(60_000))
    assert not second.play(EVENTS)


def test_ids_are_made_anew_only_where_that_is_safe() -> None:
    old = "chatcmpl-0123456789abcdef"
    fresh = fresh_id(old)
    assert fresh is not None
    assert fresh != old
    assert (fresh[:9], len(fresh)) == ("chatcmpl-", len(old))
    assert fresh_id("0123456789abcdef") not in (None, "0123456789abcdef")
    for short in ("chatcmpl-1", "x", "", 'chatcmpl-01234567"89', "chatcmpl-0123456\u00e4789"):
        assert fresh_id(short) is None
