"""Agents on a real small model behind a real router: streaming, grammars, the context window, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import pytest
from pydantic import BaseModel

from agent_runtime.agents import Agent, AgentOptions, RunLimits, Session
from agent_runtime.agents.errors import ContextWindowError
from agent_runtime.agents.evaluation.runner import evaluate
from agent_runtime.agents.evaluation.tasks import TASKS
from agent_runtime.agents.events import Event, RunEnded, TextDelta
from agent_runtime.agents.window import ContextWindow, llamacpp_counter
from agent_runtime.fleet import Fleet
from tests.runtime.conftest import CONTEXT_LENGTH, RouterFor, contract

pytestmark = pytest.mark.runtime
STEADY = AgentOptions(temperature=0.0, repeat_penalty=1.0, max_tokens=24, seed=1, stop=("Q:",))
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def fleet_file(router_for: RouterFor, llamacpp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    url = router_for("llamacpp", llamacpp_url)
    document = contract("llamacpp", llamacpp_url)
    document["router"] = {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": f"{url}/metrics"}
    path = tmp_path_factory.mktemp("fleet") / "fleet.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def fleet(fleet_file: Path) -> Fleet:
    return Fleet.from_file(fleet_file)


def finish(fleet: Fleet, work: Coroutine[Any, Any, Found]) -> Found:
    async def whole() -> Found:
        try:
            return await work
        finally:
            await fleet.aclose()

    return asyncio.run(whole())


def test_an_answer_streams_in_pieces_and_ends_with_its_usage(fleet: Fleet) -> None:
    async def work() -> list[Event]:
        agent = Agent("tester", model="assistant", fleet=fleet, options=STEADY)
        return [event async for event in agent.stream("What is the capital of France?")]

    events = finish(fleet, work())
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert len(pieces) > 1
    assert "".join(pieces) == ended.result.output
    assert "Paris" in ended.result.output
    assert ended.result.usage.input_tokens > 0
    assert 0 < ended.result.usage.output_tokens <= 24


def test_a_run_and_a_stream_say_the_same(fleet: Fleet) -> None:
    agent = Agent("tester", model="assistant", fleet=fleet, options=STEADY)
    assert "Paris" in agent.run_sync("What is the capital of France?").output


class Review(BaseModel):
    sentiment: Literal["good", "bad"]
    stars: int


def test_the_engines_grammar_holds_the_model_to_a_schema(fleet: Fleet) -> None:
    options = AgentOptions(temperature=0.0, max_tokens=128, seed=1)
    agent = Agent("tester", model="assistant", fleet=fleet, options=options, output_type=Review)
    result = agent.run_sync("Review: the food was wonderful. What is the sentiment, and how many stars?")
    assert isinstance(result.output, Review)
    assert result.steps == 1


def test_the_engine_counts_tokens(llamacpp_url: str) -> None:
    text = "What is the capital of France?"
    counted = asyncio.run(llamacpp_counter(llamacpp_url)(text))
    tokens = httpx.post(f"{llamacpp_url}/tokenize", json={"content": text}, trust_env=False).json()["tokens"]
    assert counted == len(tokens) > 0


def test_a_history_that_outgrows_the_window_is_shortened_and_the_server_takes_it(fleet: Fleet) -> None:
    session = Session(kept_messages=40, sent_messages=40)
    agent = Agent("tester", model="assistant", fleet=fleet, options=STEADY, session=session)
    filler = "The sky is blue and the grass is green. " * 40
    results = [agent.run_sync(f"{filler} What is the capital of France? ({number})") for number in range(6)]
    assert results[0].left_out.messages == 0
    assert results[-1].left_out.messages > 0
    assert all(result.usage.input_tokens + result.usage.output_tokens <= CONTEXT_LENGTH for result in results)


def test_a_prompt_larger_than_the_window_never_reaches_the_server(fleet: Fleet) -> None:
    agent = Agent("tester", model="assistant", fleet=fleet, options=STEADY)
    with pytest.raises(ContextWindowError) as refused:
        agent.run_sync("The sky is blue and the grass is green. " * 600)
    assert refused.value.needed_tokens > CONTEXT_LENGTH > refused.value.window_tokens
    assert "Paris" in agent.run_sync("What is the capital of France?").output


def test_the_windows_last_token_can_be_used(fleet: Fleet, llamacpp_url: str) -> None:
    count = llamacpp_counter(llamacpp_url)
    words = "blue " * 1900
    counted = asyncio.run(count(words))
    assert counted is not None
    window = ContextWindow(CONTEXT_LENGTH, count=count)
    assert counted < window.room(24)
    result = Agent("tester", model="assistant", fleet=fleet, options=STEADY).run_sync(words)
    assert result.usage.input_tokens >= counted


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_model_that_takes_no_tools_is_asked_within_the_limits(fleet: Fleet) -> None:
    agent = Agent(
        "tester", model="assistant", fleet=fleet, options=STEADY, tools=[add], limits=RunLimits(steps=3, tool_calls=3)
    )
    result = agent.run_sync("Add 2 and 3.")
    assert result.tools_as_text
    assert result.steps <= 3
    assert result.output


def test_the_suite_scores_a_real_model(fleet: Fleet) -> None:
    tasks = [task for task in TASKS if task.kind in ("arithmetic", "extraction")]
    evaluation = finish(fleet, evaluate(["assistant"], fleet=fleet, tasks=tasks))
    assert [score.task for score in evaluation.scores] == [task.name for task in tasks]
    assert all(score.seconds > 0 for score in evaluation.scores)
    assert 0.0 <= evaluation.share_passed("assistant") <= 1.0
