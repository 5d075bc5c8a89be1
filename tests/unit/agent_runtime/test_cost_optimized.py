"""CostOptimizedLLMService: a completion and a report from a router that is played."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx
import pytest

import agent_runtime
from agent_runtime.cost_optimized import BudgetExceededError, CompletionError, CostOptimizedLLMService
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit

ANSWER = {
    "model": "assistant",
    "choices": [{"message": {"content": "Tokyo"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2},
}
TOLD = {"X-Paddock-Tier": "local", "X-Paddock-Model": "assistant", "X-Paddock-Reason": "routine"}


def service(
    response: httpx.Response | Exception, asked: list[httpx.Request] | None = None, **more: str
) -> CostOptimizedLLMService:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if isinstance(response, Exception):
            raise response
        return response

    return CostOptimizedLLMService("http://router:8080/v1", transport=httpx.MockTransport(handle), **more)


async def completion(response: httpx.Response | Exception) -> object:
    async with service(response) as made:
        return await made.get_completion("What is the capital of Japan?")


def test_a_completion_tells_what_the_router_decided() -> None:
    asked: list[httpx.Request] = []

    async def ask() -> None:
        async with service(httpx.Response(200, json=ANSWER, headers=TOLD), asked, api_key="k") as made:
            found = await made.get_completion("Where?", "default", 50, "high", private=True)
        assert (found.text, found.tier, found.model, found.reason) == ("Tokyo", "local", "assistant", "routine")
        assert (found.prompt_tokens, found.completion_tokens, found.usd, found.cached) == (9, 2, None, False)

    asyncio.run(ask())
    (request,) = asked
    assert str(request.url) == "http://router:8080/v1/chat/completions"
    assert request.headers["X-Paddock-Priority"] == "high"
    assert request.headers["X-Paddock-Privacy"] == "private"
    assert request.headers["Authorization"] == "Bearer k"
    body = json.loads(request.content)
    assert (body["model"], body["max_tokens"]) == ("default", 50)
    assert body["messages"] == [{"role": "user", "content": "Where?"}]


def test_the_same_without_coroutines() -> None:
    told = {**TOLD, "X-Paddock-Cost-Usd": "0.0", "X-Paddock-Cache": "hit"}
    found = service(httpx.Response(200, json=ANSWER, headers=told)).complete("Where?")
    assert (found.text, found.usd, found.cached) == ("Tokyo", 0.0, True)
    asked: list[httpx.Request] = []
    report = service(httpx.Response(200, json={"total": {"usd": 1}}), asked).cost_report(since="2026-11-01")
    assert report["total"]["usd"] == 1
    assert str(asked[0].url) == "http://router:8080/api/paddock/costs?from=2026-11-01"


def test_a_spent_budget_is_an_error_of_its_own() -> None:
    error = {"error": {"message": "this key's budget is used up", "code": "budget_exceeded"}}
    with pytest.raises(BudgetExceededError, match="used up") as refused:
        asyncio.run(completion(httpx.Response(429, json=error)))
    assert (refused.value.status, refused.value.code) == (429, "budget_exceeded")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(503, json={"error": {"message": "m", "code": "model_unreachable"}}),
        httpx.Response(502, text="<html>"),
        httpx.Response(200, text="hello"),
        httpx.Response(200, json={"choices": []}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
    ],
    ids=["an error", "no error of ours", "no JSON", "no answer", "nobody", "too late"],
)
def test_whatever_goes_wrong_is_one_kind_of_error(response: httpx.Response | Exception) -> None:
    with pytest.raises(CompletionError):
        asyncio.run(completion(response))


def test_a_contract_names_the_router() -> None:
    router = {"url": "http://127.0.0.1:9", "openai": "o", "ollama": "o", "metrics": "m"}
    contract = FleetContract.from_mapping(
        {"version": 1, "stack": "dev", "target": "local", "router": router, "models": {}}
    )
    made = CostOptimizedLLMService(contract)
    assert made.url == "http://127.0.0.1:9"
    asyncio.run(made.close())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(BadInputError, match="is none"):
        CostOptimizedLLMService("127.0.0.1:8080")

    async def blocking() -> None:
        service(httpx.Response(200, json=ANSWER)).complete("Where?")

    with pytest.raises(BadInputError, match="await get_completion"):
        asyncio.run(blocking())


def test_it_is_easy_to_find_and_costs_nobody_else_anything() -> None:
    assert agent_runtime.CostOptimizedLLMService is CostOptimizedLLMService
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = agent_runtime.Nothing
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, agent_runtime; print('httpx' in sys.modules, 'pydantic' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == ["False", "False"]
