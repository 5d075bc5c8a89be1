"""What is measured, found in a contract and asked of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from agent_runtime.benchmark.target import (
    ServerUnreachableError,
    Target,
    targets_of_fleet,
    targets_of_url,
)
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit
URL = "http://127.0.0.1:8080"


def entry(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "engine": "llamacpp", "contextLength": 2048, **more}


CONTRACT = FleetContract.from_mapping(
    {
        "version": 1,
        "stack": "dev",
        "target": "local",
        "router": {"url": URL, "openai": f"{URL}/v1", "ollama": URL, "metrics": f"{URL}/metrics"},
        "models": {
            "assistant": entry(
                "gemma3:270m",
                usdPerHour=0.5,
                endpoints=[{"url": "http://127.0.0.1:18101"}, {"url": "http://127.0.0.1:18102"}],
            ),
            "coder": entry("codellama:13b", engine="ollama", endpoints=[{"url": "http://127.0.0.1:11434"}]),
            "search": entry("nomic-embed-text", capabilities=["embedding"]),
        },
        "aliases": {"default": {"assistant": 1.0}, "trial": {"assistant": 0.5, "coder": 0.5}},
        "tiers": {
            "commercial": {
                "usdPerThousandTokens": 0.03,
                "models": {"default": entry("their-model", engine="openai", tier="commercial")},
            }
        },
    }
)


def fleet(*names: str, **more: Any) -> list[Target]:
    return targets_of_fleet(CONTRACT, URL, names=names, **more)


def test_all_models_of_a_fleet_that_write_text_by_default() -> None:
    assistant, coder = fleet()
    assert (assistant.name, assistant.model, assistant.engine) == ("assistant", "gemma3:270m", "llamacpp")
    assert assistant.takes_fixed_length
    assert assistant.local_ports == (18101, 18102)
    assert assistant.usd_per_hour == 1.0  # of both replicas
    assert not coder.takes_fixed_length
    assert coder.ollama_url == URL


def test_the_routers_cache_is_kept_out_of_it_and_the_key_out_of_sight() -> None:
    key = "-".join(["sk", "test"])
    (target,) = fleet("assistant", api_key=key, tier="local")
    assert target.headers == {
        "Cache-Control": "no-store",
        "Authorization": f"Bearer {key}",
        "X-Paddock-Tier": "local",
    }
    assert key not in repr(target)


def test_an_alias_of_one_model_is_that_model_and_of_several_is_none_of_them() -> None:
    default, trial = fleet("default", "trial")
    assert (default.asked, default.model) == ("default", "gemma3:270m")
    assert (trial.asked, trial.model, trial.usd_per_hour) == ("trial", None, None)


def test_a_models_name_in_the_catalogue_will_do() -> None:
    assert [target.asked for target in fleet("gemma3:270m")] == ["assistant"]


def test_a_commercial_model_is_paid_by_the_token() -> None:
    (target,) = fleet(tier="commercial")
    assert target.price is not None
    assert target.price.output_usd_per_million == pytest.approx(30)
    assert target.replica_urls == ()
    assert not target.takes_fixed_length


@pytest.mark.parametrize(
    ("names", "tier", "why"),
    [
        (("nobody",), None, "has no model 'nobody'"),
        ((), "cloud", "has no tier 'cloud'"),
        (("nobody",), "commercial", "commercial tier has no model 'nobody'"),
    ],
)
def test_what_the_fleet_has_not_is_refused(names: tuple[str, ...], tier: Any, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        fleet(*names, tier=tier)


def ask(url: str, pages: dict[str, Any], **more: Any) -> list[Target]:
    def answer(request: httpx.Request) -> httpx.Response:
        found = pages.get(request.url.path)
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    return asyncio.run(targets_of_url(url, transport=httpx.MockTransport(answer), **more))


MODELS = {"/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp"}, {"id": "n", "owned_by": "somebody"}]}}
OLLAMA = {"/api/version": {"version": "0.17"}, "/api/tags": {"models": [{"model": "gemma3:270m"}]}, **MODELS}


def test_a_server_lists_its_models_and_their_engine() -> None:
    known, unknown = ask(URL, MODELS, usd_per_hour=2.0)
    assert (known.asked, known.dialect, known.takes_fixed_length, known.usd_per_hour) == ("m", "openai", True, 2.0)
    assert not unknown.takes_fixed_length
    assert [target.asked for target in ask(URL, MODELS, names=["other"])] == ["other"]


def test_an_ollama_is_asked_in_its_own_dialect_unless_the_address_says_otherwise() -> None:
    (own,) = ask(URL, OLLAMA)
    assert (own.dialect, own.asked, own.engine, own.ollama_url) == ("ollama", "gemma3:270m", "ollama", URL)
    (other,) = ask(f"{URL}/v1", OLLAMA)
    assert (other.dialect, other.engine, other.url) == ("openai", "ollama", URL)


def test_a_router_answers_like_an_ollama_and_is_none() -> None:
    assert {target.dialect for target in ask(URL, {**OLLAMA, "/healthz": {"ok": True}})} == {"openai"}


def test_a_server_without_models_or_none_at_all() -> None:
    with pytest.raises(ServerUnreachableError, match="lists its models"):
        ask(URL, {})
    with pytest.raises(BadInputError, match="is no address"):
        ask("localhost:8080", {})

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnreachableError, match="no server answers"):
        asyncio.run(targets_of_url(URL, transport=httpx.MockTransport(refuse)))
