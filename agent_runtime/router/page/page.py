"""Everything of a router's that its page has to do with, in one place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.page import look
from agent_runtime.router.page.audit import Audit
from agent_runtime.router.page.live import BEAT_SECONDS, Live
from agent_runtime.router.page.overrides import Overrides
from agent_runtime.router.page.problems import problems
from agent_runtime.router.page.recorder import Recorder
from agent_runtime.router.page.shared import SharedLook
from agent_runtime.router.page.slow import SlowParts
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

_DECISIONS_SHOWN: Final = 50


class Page:
    """The page of one router process."""

    def __init__(self, router: Router) -> None:
        self._router = router
        directory = router.governance.data
        self.recorder = Recorder()
        self.audit = Audit(directory, router.log, time.time)
        self.overrides = Overrides(directory, time.time)
        self.live = Live(router)
        self._slow = SlowParts(router)
        self._shared = None if router.seat is None else SharedLook(router.seat)
        self._next_beat = 0.0
        self._last_decision = 0
        self._weighed = False
        """Whether the weights of an alias are overridden, as the A/B tests know it."""

    # What is overridden

    def contract_taken_in(self) -> None:
        """A new contract is in force: what it overrules is dropped."""
        self.overrides.poll()
        self.overrides.follow(self._router.fleet, self._router.contract)

    def enforce(self) -> None:
        """Have the fleet follow what is overridden, after whatever else has changed it."""
        router, contract = self._router, self._router.contract
        weights = self.overrides.enforce(router.fleet)
        if weights or self._weighed:
            self._weighed = bool(weights)
            # A test that the contract declares keeps its arms, whoever gets requests meanwhile.
            free = {alias: arms for alias, arms in weights.items() if alias not in contract.experiments}
            router.governance.experiments.update({**contract.aliases, **free}, contract.experiments)

    def overridden(self) -> None:
        """Something was overridden here, or is no more."""
        router = self._router
        said = router.governance.experiments.overruled(router.contract)
        router.fleet.aliases = {alias: dict(arms) for alias, arms in said.aliases.items()}
        self.enforce()
        router.fleet.serve_waiting(router.loop.time())
        self._slow.soon()

    def poll(self) -> None:
        """Look for what other workers have overridden."""
        if self.overrides.poll():
            self.overridden()

    # Who watches

    def watch(self, client: ClientConnection, request: Request) -> None:
        """Let somebody watch; the first event comes with the next for all, a second later at most.

        Raises:
            RequestError: 503, see :meth:`Live.join`.
        """
        self.live.join(client, request)

    def tick(self, now: float) -> None:
        """Tell those who watch, where it is time. To be called several times a second; ``now`` is the event loop's."""
        if now < self._next_beat:
            return
        shared = self._shared
        if not self.live.viewers:
            if shared is not None:
                self._next_beat = now + BEAT_SECONDS
                if shared.watched:
                    shared.tell(look.part_of(self._router))
            return
        self._next_beat = now + BEAT_SECONDS
        self._slow.tick(now)
        part = look.part_of(self._router, self._last_decision)
        self._last_decision = self.recorder.count
        if shared is not None:
            shared.watch()
            shared.tell(look.part_of(self._router))
            part = look.together([part, *shared.others()])
        self.live.tell(self._parts(part), part["decisions"], _DECISIONS_SHOWN)

    def close(self) -> None:
        """Send those who watch away."""
        self.live.close()
        self._slow.cancel()

    def _parts(self, whole: look.Part) -> dict[str, object]:
        """Everything that is shown, by name."""
        router = self._router
        contract, models = router.contract, look.models_shown(whole)
        spending = router.governance.purse.spending().to_mapping()
        told = [*whole["problems"], *([self.overrides.problem] if self.overrides.problem else [])]
        return {
            "router": {
                "stack": contract.stack,
                "target": contract.target,
                "startedAt": router.started_unix,
                "workers": 1 if router.seat is None else router.seat.of,
                "cache": contract.routing.cache.enabled,
            },
            "totals": {**look.totals_shown(whole), "requests": whole["count"], "connections": whole["connections"]},
            "history": look.history_shown(whole, time.time()),
            "problems": problems(
                models.values(),
                stack=contract.stack,
                target=contract.target,
                told=told,
                names=whole["names"],
                spending=spending,
            ),
            "budget": spending,
            "cache": whole["cache"],
            "aliases": self._aliases(),
            "overrides": self.overrides.to_mapping(),
            **self._slow.parts,
            **models,
        }

    def _aliases(self) -> dict[str, Any]:
        """Every alias: its weights now, and those of the contract where they are others."""
        said = self._router.contract.aliases
        return {
            alias: {"weights": arms, "contract": said.get(alias) if said.get(alias) != arms else None}
            for alias, arms in self._router.fleet.aliases.items()
        }
