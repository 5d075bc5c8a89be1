"""The suite of agent tasks: a perfect script passes everything, a lazy one nothing that it did not do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from agent_runtime.agents.evaluation.runner import Evaluation, evaluate
from agent_runtime.agents.evaluation.tasks import TASKS
from tests.scripted_model import Reply, Script, scripted_server

PERFECT: dict[str, list[Reply | str]] = {
    "4821": [Reply(calls=[("add", {"a": 4821, "b": 2794})]), "It is 7,615."],
    "37 times": ["[multiply(a=37, b=89)]", "3293"],
    "capital of Peru": [Reply(calls=[("capital_of", {"country": "Peru"})]), "Lima."],
    "lamps does": [Reply(calls=[("in_stock", {"article": "lamps"})]), "17 lamps."],
    "3 desks": [
        Reply(calls=[("price_of", {"article": "desk"})]),
        Reply(calls=[("multiply", {"a": 240, "b": 3})]),
        "720 dollars.",
    ],
    "capitals of Kenya": [
        Reply(calls=[("capital_of", {"country": "Kenya"}), ("capital_of", {"country": "Norway"})]),
        "Nairobi and Oslo.",
    ],
    "Ada Lovelace": ['{"name": "Ada Lovelace", "age": 36, "city": "London"}'],
    "12 lamps": ['{"article": "lamp", "quantity": 12, "express": false}'],
    "broken": [Reply(calls=[("add", {"a": 5, "b": 6})]), "11"],
    "wrong name": [Reply(calls=[("capital_of", {"country": "Norway"})]), "Oslo."],
}


def perfect(body: dict[str, Any]) -> Reply | str:
    prompt = next(message["content"] for message in body["messages"] if message["role"] == "user")
    steps = sum(message["role"] == "assistant" for message in body["messages"])
    return next(replies for key, replies in PERFECT.items() if key in prompt)[steps]


def evaluated(script: Script) -> Evaluation:
    with scripted_server(script) as server:
        fleet = server.fleet()

        async def work() -> Evaluation:
            try:
                return await evaluate(["assistant"], fleet=fleet)
            finally:
                await fleet.aclose()

        return asyncio.run(work())


def test_a_model_that_does_everything_right_passes_everything() -> None:
    evaluation = evaluated(perfect)
    assert [(score.task, score.reason) for score in evaluation.scores if not score.passed] == []
    assert evaluation.share_passed("assistant") == 1.0
    assert sum(score.recovered_calls for score in evaluation.scores) == 1


def test_a_model_that_only_talks_passes_nothing() -> None:
    evaluation = evaluated(["It is 7615, 3293, Lima, 17, 720, Nairobi, Oslo and 11."])
    assert [score.task for score in evaluation.scores if score.passed] == []
    assert all(score.reason for score in evaluation.scores)


def test_a_model_that_fails_is_scored_and_does_not_stop_the_rest() -> None:
    evaluation = evaluated([Reply(status=404)])
    assert len(evaluation.scores) == len(TASKS)
    document = json.loads(json.dumps(evaluation.to_mapping()))
    assert document["models"][0]["score"] == 0
    assert set(document["models"][0]["kinds"]) == {"arithmetic", "lookup", "multi_step", "extraction", "repair"}
