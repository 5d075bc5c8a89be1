"""A router with tiers beyond the fleet, whose endpoints are scripted engines too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect
from agent_runtime.router.policy import Policy
from fleet_spec.contract import FleetContract
from tests.unit.router.rig import Rig, Script, ScriptedEngine, Talk, contract, running

SECRET = "-".join(("tier", "key", "of", "a", "test"))


class Routine:
    """A classifier to which every prompt is public and routine."""

    slow = False

    def prepare(self) -> None:
        """It is always ready."""

    def classify(self, dialect: Dialect, body: Mapping[str, Any], *, declared_public: bool = False) -> Classification:
        return Classification(private=False, complex=False, reasons=())


class TierEngine(ScriptedEngine):
    """A scripted API that says, whatever else it does, which models it has."""

    def __init__(self, script: Script) -> None:
        super().__init__(self._script)
        self.probes = 0
        self._said = script

    async def _script(self, talk: Talk) -> None:
        if talk.asked.method == "GET":
            self.asked.remove(talk.asked)
            self.probes += 1
            await talk.reply({"data": []})
        else:
            await self._said(talk)


@asynccontextmanager
async def tiered(
    tmp_path: Path, *, local: Script | None, routing: dict[str, Any] | None = None, path: str = "", **tiers: Script
) -> AsyncIterator[tuple[Rig, dict[str, TierEngine]]]:
    """A router for the model ``m`` of the fleet, and what answers in its place in ``cloud`` and ``commercial``."""
    engines = {name: TierEngine(script) for name, script in tiers.items()}
    fleet_engines = [] if local is None else [TierEngine(local)]
    everybody = [*engines.values(), *fleet_engines]
    for engine in everybody:
        await engine.start()
    model = {"endpoints": [{"url": engine.url} for engine in fleet_engines], "sleeps": local is None}
    data = {**contract({"m": model}), "routing": routing or {}}
    data["tiers"] = {
        name: {
            "secret": f"tier-{name}",
            "models": {
                "m": {
                    "model": f"{name}-model",
                    "engine": "openai",
                    "tier": name,
                    "contextLength": 8192,
                    "endpoints": [{"url": engine.url + path}],
                    "price": {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0},
                }
            },
        }
        for name, engine in engines.items()
    }
    try:
        async with running(tmp_path, data=data) as rig:
            rig.router.fleet.secrets = {f"tier-{name}": f"{SECRET}-{name}" for name in engines}.get
            rules = FleetContract.from_mapping(data)
            rig.router.governance.policy = Policy(rules, Routine(), lambda _tier, _key, _priority, _model: None)
            yield rig, {**engines, **({"local": fleet_engines[0]} if fleet_engines else {})}
    finally:
        for engine in everybody:
            await engine.stop()
