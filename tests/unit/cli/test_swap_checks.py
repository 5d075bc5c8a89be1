"""What a swap asks of a router, and what it makes of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.asking import Question, Reply, RouterAsking
from cli.prompts import Prompt, read_prompts
from cli.swap.checks import Verdict, run_checks
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit
URL = "http://router"
WHO = {"X-Paddock-Model": "chat-2", "X-Paddock-Endpoint": "http://127.0.0.1:18101"}


def asking(*answers: httpx.Response, seen: list[httpx.Request] | None = None, **options: Any) -> RouterAsking:
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return left.pop(0)

    return RouterAsking(URL, transport=httpx.MockTransport(answer), **options)


def stream(*events: object, end: str = "[DONE]") -> httpx.Response:
    lines = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in [*events, end]]
    return httpx.Response(200, headers=WHO, text="".join(lines))


def piece(text: str | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}


def whole(text: str, reason: str = "stop") -> httpx.Response:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return httpx.Response(200, headers=WHO, json={"choices": [choice]})


def test_a_stream_tells_who_answered_what_and_how_soon() -> None:
    seen: list[httpx.Request] = []
    reply = asking(stream(piece("To"), piece("kyo"), piece(None, "stop")), seen=seen).ask("default", Question("?"))
    assert (reply.text, reply.model, reply.endpoint) == ("Tokyo", "chat-2", WHO["X-Paddock-Endpoint"])
    assert reply.problem is None
    assert reply.ttft_seconds is not None
    assert seen[0].headers["X-Paddock-Tier"] == "local", "another tier's answer would say nothing"
    assert seen[0].headers["Cache-Control"] == "no-store", "nor would an old one"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (stream(piece("To"), end=""), "broke off"),
        (stream(piece("To"), {"error": {"message": "no memory"}}), "no memory"),
        (stream("{not json"), "no answer"),
        (whole("To", "content_filter"), "content_filter"),
        (httpx.Response(503, headers=WHO, text="cannot be reached"), "503: cannot be reached"),
        (httpx.Response(200, json={"choices": []}), "no answer"),
    ],
)
def test_an_answer_that_is_not_whole_is_a_problem_and_no_crash(answer: httpx.Response, told: str) -> None:
    question = Question("?", stream=answer.text.startswith("data:"))
    problem = asking(answer).ask("chat", question).problem
    assert problem is not None
    assert told in problem


def test_nobody_there_is_a_problem_too() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    nobody = RouterAsking(URL, transport=httpx.MockTransport(refuse))
    assert "refused" in str(nobody.ask("chat", Question("?")).problem)
    assert nobody.in_flight("chat") is None


def test_a_key_is_looked_for_once_where_the_router_wants_one() -> None:
    found: list[str] = []
    seen: list[httpx.Request] = []

    def find() -> str:
        found.append("a key")
        return found[-1]

    router = asking(httpx.Response(401), whole("yes"), whole("yes"), seen=seen, find_key=find)
    assert [router.ask("chat", Question("?", stream=False)).text for _ in range(2)] == ["yes", "yes"]
    assert [one.headers.get("Authorization") for one in seen] == [None, "Bearer a key", "Bearer a key"]
    assert len(found) == 1


def test_what_is_in_flight_is_read_from_the_metrics() -> None:
    text = (
        "# TYPE paddock_model_active_requests gauge\n"
        'paddock_model_active_requests{model="chat",tier="local"} 3\n'
        'paddock_model_active_requests{model="chat",tier="cloud"} 4\n'
        'paddock_model_active_requests{model="chat-2",tier="local"} 5\n'
    )
    assert asking(httpx.Response(200, text=text)).in_flight("chat") == 3
    assert asking(httpx.Response(200, text=text)).in_flight("gone") == 0
    assert asking(httpx.Response(403)).in_flight("chat") is None


def test_a_vector_is_good_when_it_says_something() -> None:
    for vector, good in (([0.1, -0.2], True), ([0.0, 0.0], False), ([], False)):
        answer = httpx.Response(200, headers=WHO, json={"data": [{"embedding": vector}]})
        assert (asking(answer).ask("e", Question("hello", embedding=True)).problem is None) is good


@pytest.mark.parametrize(
    ("line", "text", "told"),
    [
        ({}, "anything", None),
        ({}, "  ", "empty"),
        ({"expect": "TOKYO"}, "It is Tokyo.", None),
        ({"expect": ["Tokyo", "Japan"]}, "It is Tokyo.", "'Japan'"),
        ({"matches": r"\d+"}, "about 42", None),
        ({"matches": r"^\d+$"}, "about 42", "does not match"),
        ({"json": {"type": "object", "required": ["a"]}}, '{"a": 1}', None),
        ({"json": {"type": "object", "required": ["a"]}}, '{"b": 1}', "does not follow the schema"),
        ({"json": {"type": "object"}}, "{", "is not JSON"),
    ],
)
def test_an_answer_is_held_against_its_line(line: dict[str, Any], text: str, told: str | None) -> None:
    complaint = Prompt.model_validate({"prompt": "?", **line}).complaint(Reply(text))
    assert (complaint is None) if told is None else (told in str(complaint))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "has no prompt"),
        ("{", "line 1"),
        ('{"prompt": "a"}\n\n{"promt": "a"}', "line 3: prompt"),
        ('{"prompt": "a", "matches": "("}', "line 1: matches"),
        ('{"prompt": "a", "json": {"type": "thing"}}', "line 1: json"),
        ('{"prompt": "a", "maxTokens": 0}', "line 1: maxTokens"),
    ],
)
def test_a_mistake_in_a_file_of_prompts_is_named_with_its_line(tmp_path: Path, lines: str, told: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(lines)
    with pytest.raises(BadInputError, match=told):
        read_prompts(path)


def test_a_file_of_prompts_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="none"):
        read_prompts(tmp_path / "none.jsonl")


def test_percentiles_are_by_the_nearest_rank() -> None:
    verdict = Verdict(20, (), tuple(float(number) for number in range(1, 21)))
    assert (verdict.ttft(0.5), verdict.ttft(0.95)) == (10.0, 19.0)
    assert Verdict(1, (), (0.3,)).ttft(0.95) == 0.3
    assert Verdict(1, (), ()).ttft(0.95) is None
    assert "not known" in str(Verdict(1, (), ()).objection(0, 1.0))


def test_without_a_file_short_questions_are_asked_as_streams_and_whole() -> None:
    answers = [stream(piece("hi", "stop")) if number % 2 == 0 else whole("hi") for number in range(8)]
    verdict = run_checks(asking(*answers), "chat", (), chats=True, progress=lambda _: None)
    assert (verdict.asked, verdict.failures, len(verdict.ttft_seconds)) == (8, (), 4)
