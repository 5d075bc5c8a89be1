"""Text that is handed from one dialect's event to the other's without being decoded: never another text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.pattern import TextPattern
from agent_runtime.router.dialects.replies_to_ollama import ChatToOllama, GenerateToOllama
from agent_runtime.router.dialects.replies_to_openai import ChatToOpenAI, CompletionToOpenAI

pytestmark = pytest.mark.unit

TEXTS = st.lists(
    st.text(alphabet=st.sampled_from('ab"\\/\n\u00e9\ud83d\ude00\u2028{}[],:') | st.characters(), max_size=12),
    max_size=12,
)


def event(delta: dict[str, Any], *, ascii_only: bool, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    text = json.dumps({"id": "1", "choices": [choice], **more}, ensure_ascii=ascii_only, separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "surrogatepass") + b"\n\n"


def whole(text: str) -> str:
    """Without halves of pairs, which UTF-8 cannot say."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(texts=TEXTS, ascii_only=st.booleans())
def test_the_text_is_the_same_however_the_engine_writes_it(texts: list[str], ascii_only: bool) -> None:
    texts = [whole(text) for text in texts]
    translator = ChatToOllama("m")
    out = b"".join(translator.feed(event({"content": text}, ascii_only=ascii_only)) for text in texts)
    said = [json.loads(line)["message"]["content"] for line in out.splitlines()]
    assert said == [text for text in texts if text]


def test_an_event_that_says_more_is_decoded() -> None:
    translator = ChatToOllama("m")
    translator.feed(event({"content": "a"}, ascii_only=True) + event({"content": "b"}, ascii_only=True))
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    translator.feed(event({"content": "c", "tool_calls": calls}, ascii_only=True))
    translator.feed(event({"content": "d"}, ascii_only=True, usage={"prompt_tokens": 1, "completion_tokens": 2}))
    last = [json.loads(line) for line in translator.feed(b"data: [DONE]\n\n").splitlines()]
    assert last[0]["message"]["tool_calls"][0]["function"]["name"] == "f"
    assert last[1]["eval_count"] == 2


@given(payload=st.binary(max_size=40))
def test_what_is_between_the_same_bytes_is_a_string_or_nothing(payload: bytes) -> None:
    pattern = TextPattern(b"content")
    pattern.learn(b'{"content":"x","n":1}')
    found = pattern.text_in(b'{"content":"' + payload + b'","n":1}')
    try:
        read = json.loads(b'{"content":"' + payload.replace(b"\n", b"") + b'","n":1}', strict=False)
        plain = set(read) == {"content", "n"}
    except ValueError:
        plain = False
    if found is not None and plain:
        assert found == payload
    if not plain:
        assert found is None or b'"' not in found.replace(b'\\"', b"")


@given(texts=TEXTS)
def test_ollamas_text_is_the_same(texts: list[str]) -> None:
    texts = [whole(text) for text in texts]
    head = {"model": "m", "created_at": "2026-01-01T00:00:00.1Z"}
    chat, completion = ChatToOpenAI("m"), CompletionToOpenAI("m")
    said: list[str] = []
    completed: list[str] = []
    for text in texts:
        line = {**head, "message": {"role": "assistant", "content": text}, "done": False}
        out = chat.feed(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        said += [c["choices"][0]["delta"].get("content", "") for c in events(out)]
        line = {**head, "response": text, "done": False}
        out = completion.feed(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        completed += [c["choices"][0]["text"] for c in events(out)]
    assert "".join(said) == "".join(texts)
    assert "".join(completed) == "".join(texts)


def events(out: bytes) -> list[Any]:
    return [json.loads(row.removeprefix(b"data: ")) for row in out.split(b"\n\n") if row]


@pytest.mark.parametrize("translator", [ChatToOllama("m"), GenerateToOllama("m"), ChatToOpenAI("m")])
def test_a_field_of_another_type_is_a_failure_and_no_exception(translator: Any) -> None:
    wrong = {
        "choices": [{"delta": {"content": 5, "tool_calls": [{"function": {"name": 7}}]}}],
        "message": {"content": 5},
    }
    raw = json.dumps({**wrong, "done": False}).encode()
    translator.feed(b"data: " + raw + b"\n\n")
    translator.feed(raw + b"\n")
    assert translator.failure is None or "API promises" in translator.failure or "is not JSON" in translator.failure
