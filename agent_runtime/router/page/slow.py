"""What the page shows and no look finds in memory: reports from the ledger and of the A/B tests, made now and then."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.log import where
from agent_runtime.router.money.ledger import LedgerError
from agent_runtime.router.money.months import forecast_usd

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

_EVERY_SECONDS: Final = 10.0
_MOST_GROUPS: Final = 50
_GROUPS: Final = (("byTier", "tier"), ("byKey", "key"), ("byModel", "model"))


class SlowParts:
    """The reports, as they were when they were last made."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.parts: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Make them anew where it is time, beside everything else. ``now`` is the event loop's."""
        if now < self._next or self._task is not None:
            return
        self._next = now + _EVERY_SECONDS
        self._task = self._router.loop.create_task(self._make())
        self._router.tasks.add(self._task)
        self._task.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[None]) -> None:
        self._router.tasks.discard(task)
        self._task = None

    def soon(self) -> None:
        """Have them made at the next tick."""
        self._next = 0.0

    def cancel(self) -> None:
        """Give up what is being made."""
        if self._task is not None:
            self._task.cancel()

    async def _make(self) -> None:
        for name, part in (("costs", self._costs), ("experiments", self._experiments)):
            try:
                self.parts[name] = await part()
            except (LedgerError, RequestError) as error:
                self.parts[name] = {"problem": str(error)}
            except Exception as error:  # a report that cannot be made must not take the others along
                self._router.log.event("fault", level="error", path="/api/paddock/live", problem=where(error))
                self.parts[name] = {"problem": "this report cannot be made; the router's log says more"}

    async def _costs(self) -> dict[str, Any]:
        """The month so far, its dearest groups."""
        today = datetime.datetime.now(datetime.UTC).date()
        first = today.replace(day=1)
        report = await self._router.governance.purse.report(first.isoformat(), today.isoformat())
        return {
            "from": report["from"],
            "to": report["to"],
            "total": report["total"],
            "forecastUsd": forecast_usd(report["total"]["usd"], time.time()),
            "byDayAndTier": report["byDayAndTier"],
            **{name: _dearest(report[name], by) for name, by in _GROUPS},
        }

    async def _experiments(self) -> dict[str, Any]:
        return await self._router.governance.experiments.report(last_minutes=0)


def _dearest(groups: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """The groups that cost or asked most, and of each what the page shows."""
    order = sorted(groups, key=lambda group: (-group["usd"], -group["requests"]))
    shown = (by, "requests", "errorRate", "promptTokens", "completionTokens", "usd", "savedUsd", "p95Seconds")
    return [{name: group[name] for name in shown} for group in order[:_MOST_GROUPS]]
