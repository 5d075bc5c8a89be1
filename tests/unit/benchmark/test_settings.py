"""What a benchmark is told: loads, limits, prompts; and what is said where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.benchmark.prompts import PromptOrder, built_in, read_prompts
from agent_runtime.benchmark.settings import Limits, Load, Settings, limits_of, loads_of
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit


def test_a_sweep_is_of_requests_at_once_or_a_second() -> None:
    assert loads_of("1,4,16", None) == (Load("closed", 1), Load("closed", 4), Load("closed", 16))
    assert loads_of(None, "0.5,2", "constant") == (Load("constant", 0.5), Load("constant", 2))
    assert loads_of(None, None) == loads_of("1,4,16", None)
    assert loads_of("2,2", None) == (Load("closed", 2),)


@pytest.mark.parametrize(
    ("concurrency", "rate", "why"),
    [
        ("1", "1", "two kinds of load"),
        ("0", None, "numbers above zero"),
        ("1.5", None, "not whole"),
        ("a", None, "numbers above zero"),
        ("", None, "numbers above zero"),
        (None, "inf", "numbers above zero"),
        (None, "-1", "numbers above zero"),
    ],
)
def test_a_load_that_is_none_is_refused(concurrency: str | None, rate: str | None, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        loads_of(concurrency, rate)


def test_limits_are_given_in_milliseconds() -> None:
    assert limits_of(["ttft=500,itl=50", "e2e=2000"]) == Limits(0.5, 0.05, 2.0)
    assert not limits_of([]).any


@pytest.mark.parametrize("text", ["ttft", "ttft=", "ttft=-5", "speed=5", "ttft=nan", ""])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="is no limit"):
        limits_of([text])


def test_a_level_has_so_many_requests_unless_its_duration_ends_it() -> None:
    assert Settings().requests_of(Load("closed", 1)) == 40
    assert Settings().requests_of(Load("closed", 16)) == 64
    assert Settings(requests=7).requests_of(Load("closed", 16)) == 7
    assert Settings(duration_seconds=5).requests_of(Load("closed", 16)) is None


def test_prompts_come_from_text_and_from_json_lines(tmp_path: Path) -> None:
    text, lines = tmp_path / "p.txt", tmp_path / "p.jsonl"
    text.write_text("Why is the sky blue?\n\nWho are you?\n")
    lines.write_text('{"prompt": "Why?"}\n{"messages": [{"role": "user", "content": "Who?"}]}\n')
    assert [prompt.messages[0]["content"] for prompt in read_prompts(text)] == ["Why is the sky blue?", "Who are you?"]
    assert [prompt.messages[0]["content"] for prompt in read_prompts(lines)] == ["Why?", "Who?"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("p.jsonl", '{"prompt": "Why?"}\n{"prompt": 5}\n', "p.jsonl:2 has no prompt"),
        ("p.jsonl", "{", "p.jsonl:1 is not JSON"),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', "has no prompt"),
        ("p.txt", "\n \n", "holds no prompt"),
        ("p.txt", b"\xff\xfe", "not UTF-8"),
        ("p.txt", None, "No such file"),
    ],
)
def test_a_file_without_prompts_is_refused(tmp_path: Path, name: str, content: str | bytes | None, why: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInputError, match=why):
        read_prompts(path)


def test_the_order_of_prompts_repeats_with_the_seed_and_each_comes_as_often() -> None:
    prompts = built_in()
    first, second, other = (PromptOrder(prompts, seed, unique=False) for seed in (1, 1, 2))
    taken = [first.take() for _ in range(32)]
    assert taken == [second.take() for _ in range(32)]
    assert taken != [other.take() for _ in range(32)]
    assert all(taken.count(prompt) == 2 for prompt in prompts)


def test_no_prefix_cache_has_seen_a_numbered_prompt() -> None:
    runs = [PromptOrder(built_in(), 1, unique=True) for _ in range(2)]
    questions = [run.take().messages[-1]["content"] for run in runs for _ in range(100)]
    assert len({question.split(" ")[0] for question in questions}) == 200
