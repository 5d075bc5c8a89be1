"""Benchmarks of real engines: llama.cpp and Ollama, straight and through a router."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from agent_runtime.benchmark import (
    BenchmarkRun,
    Load,
    Prompt,
    Settings,
    Target,
    targets_of_fleet,
    targets_of_url,
)
from fleet_spec.contract import FleetContract
from tests.ports import free_port
from tests.runtime.conftest import MODEL, RouterFor, contract

pytestmark = pytest.mark.runtime
TOKENS = 6
SHORT = Prompt(({"role": "user", "content": "Who are you?"},))
FEW = Settings(loads=(Load("closed", 1), Load("closed", 2)), requests=3, max_tokens=TOKENS, warmup_requests=1)
WEIGHTS_BYTES = 200 * 2**20


def measure(targets: Sequence[Target], settings: Settings = FEW) -> dict[str, Any]:
    results = asyncio.run(BenchmarkRun(settings, [SHORT]).measure(targets))
    (model,) = json.loads(json.dumps(results.document()))["models"]
    assert model["problem"] is None
    assert model["status"] == "complete"
    return model


def test_llamacpp_is_measured_with_its_own_counts(llamacpp_url: str) -> None:
    (target,) = asyncio.run(targets_of_url(llamacpp_url))
    model = measure([target])
    assert (model["name"], model["engine"], model["fixedLength"]) == (MODEL, "llamacpp", True)
    for level in model["levels"]:
        assert level["tokens"]["outputTotal"] == 3 * TOKENS
        assert level["tokens"]["promptTotal"] > 3 * 5
        assert level["engine"]["decodeTokensPerSecond"] > 0
        latency = level["latency"]
        assert 0 < latency["ttftSeconds"]["max"] < latency["e2eSeconds"]["max"]
        assert latency["itlSeconds"]["count"] == 3
    # Weights are mapped into memory, so a server that has answered holds most of them.
    assert model["memory"]["rssPeakBytes"] > WEIGHTS_BYTES


def test_the_engines_rate_and_ours_are_of_the_same_tokens(llamacpp_url: str) -> None:
    """The engine's own seconds for a token and the gaps that are seen outside it differ by what lies between."""
    (target,) = asyncio.run(targets_of_url(llamacpp_url))
    settings = Settings(loads=(Load("closed", 1),), requests=3, max_tokens=24, warmup_requests=0)
    (level,) = measure([target], settings)["levels"]
    ours = 1 / level["latency"]["itlSeconds"]["p50"]["value"]
    assert ours == pytest.approx(level["engine"]["decodeTokensPerSecond"], rel=0.5)


def test_a_cold_load_on_ollama_is_reported_apart(ollama_url: str) -> None:
    (target,) = asyncio.run(targets_of_url(ollama_url))
    assert (target.dialect, target.engine) == ("ollama", "ollama")
    settings = Settings(loads=(Load("closed", 1),), requests=2, max_tokens=3, warmup_requests=1, unload_first=True)
    model = measure([target], settings)
    assert model["first"]["unloadedBefore"] is True
    assert model["first"]["loadSeconds"] > model["warmup"][0]["loadSeconds"]
    assert model["first"]["ttftSeconds"] > model["first"]["loadSeconds"]
    assert model["memory"]["engineSizeBytes"] > WEIGHTS_BYTES
    assert model["memory"]["engineVramBytes"] == 0  # there is no GPU
    assert model["levels"][0]["latency"]["itlSeconds"]["count"] > 0


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_a_fleet_is_measured_through_its_router_and_not_from_its_cache(
    router_for: RouterFor, llamacpp_url: str, dialect: Any
) -> None:
    url = router_for("llamacpp", llamacpp_url)
    fleet = FleetContract.from_mapping(contract("llamacpp", llamacpp_url))
    settings = Settings(loads=(Load("closed", 2),), requests=4, max_tokens=TOKENS, unique_prompts=False)
    for _ in range(2):
        model = measure(targets_of_fleet(fleet, url, names=["default"], dialect=dialect), settings)
        assert model["levels"][0]["requests"]["good"] == 4
        assert model["memory"]["rssPeakBytes"] > WEIGHTS_BYTES
    exposed = httpx.get(f"{url}/metrics", trust_env=False).text
    hits = [line for line in exposed.splitlines() if "cache" in line and "hit" in line and not line.startswith("#")]
    assert all(line.endswith((" 0", " 0.0")) for line in hits)


def test_a_model_that_nobody_serves_does_not_stop_the_rest(llamacpp_url: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    targets = [Target(url, MODEL, url, "openai", engine="llamacpp") for url in (nobody, llamacpp_url)]
    settings = Settings(loads=(Load("closed", 1),), requests=2, max_tokens=2, warmup_requests=0)
    results = asyncio.run(BenchmarkRun(settings, [SHORT]).measure(targets))
    assert [model.status for model in results.models] == ["failed", "complete"]
    assert results.models[0].problem == "the first request failed: connect: connection refused"
    assert not results.complete
