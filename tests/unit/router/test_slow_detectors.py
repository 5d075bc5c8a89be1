"""Presidio takes seconds to load and milliseconds for a prompt: neither happens in the event loop."""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from agent_runtime.router.settings import Settings
from tests.unit.router.rig import Talk, contract, eventually, openai_whole, running
from tests.unit.router.tiers import TierEngine

pytestmark = pytest.mark.unit

TEXT = "Where is Zanzibar?"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A Presidio that notes in which threads it is used, and knows Zanzibar for a person."""
    seen: dict[str, list[str]] = {"load": [], "look": []}

    class Engine:
        def __init__(self) -> None:
            seen["load"].append(threading.current_thread().name)

        def analyze(self, *, text: str, **_: object) -> list[object]:
            seen["look"].append(threading.current_thread().name)
            return [SimpleNamespace(entity_type="US_PASSPORT")] if "Zanzibar" in text else []

    module = ModuleType("presidio_analyzer")
    module.__dict__["AnalyzerEngine"] = Engine
    model = ModuleType("en_core_web_lg")
    model.__spec__ = ModuleSpec("en_core_web_lg", None)
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    monkeypatch.setitem(sys.modules, "en_core_web_lg", model)
    return seen


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole())


def with_presidio(local: str, cloud: str, *, presidio: bool) -> dict[str, Any]:
    price = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0}
    entry = {"model": "c", "engine": "openai", "tier": "cloud", "contextLength": 8192, "price": price}
    return {
        **contract({"m": {"endpoints": [{"url": local}]}}),
        "tiers": {"cloud": {"models": {"m": {**entry, "endpoints": [{"url": cloud}]}}}},
        "routing": {"routine": ["cloud", "local"], "complex": ["cloud", "local"]},
        "privacy": {"presidio": presidio},
    }


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_it_is_loaded_and_asked_beside_the_event_loop(
    tmp_path: Path, threads: dict[str, list[str]], from_the_start: bool
) -> None:
    local, cloud = TierEngine(whole), TierEngine(whole)
    await local.start()
    await cloud.start()
    data = with_presidio(local.url, cloud.url, presidio=from_the_start)
    try:
        async with running(tmp_path, data=data, settings=Settings(tmp_path / "fleet.json")) as rig:
            assert bool(threads["load"]) is from_the_start, "before the first request"
            if not from_the_start:
                rig.write_contract(with_presidio(local.url, cloud.url, presidio=True))
                policy = rig.router.governance.policy
                await eventually(lambda: rig.router.governance.policy is not policy)
            for text, tier in ((TEXT, "local"), ("Where is Paris?", "cloud")):
                reply = await rig.completion(messages=[{"role": "user", "content": text}])
                assert reply.headers["x-paddock-tier"] == tier
    finally:
        await local.stop()
        await cloud.stop()
    assert len(threads["load"]) == 1
    assert len(threads["look"]) == 2
    assert threading.current_thread().name not in {*threads["load"], *threads["look"]}
