"""What governs a router's requests: keys, rate limits, money, and the rules of the contract, followed together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from weakref import WeakSet

from agent_runtime.router.access.access import Access
from agent_runtime.router.access.rates import RateLimits
from agent_runtime.router.access.secrets_directory import Secrets, SecretsDirectory
from agent_runtime.router.answers import AnswerCache, cache_families
from agent_runtime.router.experiments import Experiments, experiment_families, trial_families
from agent_runtime.router.exposition import Family
from agent_runtime.router.log import Log
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.money.purse import Purse
from agent_runtime.router.policy import Policy
from agent_runtime.router.privacy_rules import PrivacyRules
from agent_runtime.router.settings import Settings
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import CacheSpec


class Governance:
    """Keys, rules and money in force. ``of`` makes it for a process; :meth:`ungoverned` for a router on loopback."""

    def __init__(
        self,
        log: Log,
        rates: RateLimits,
        purse: Purse,
        experiments: Experiments,
        *,
        beyond_loopback: bool = False,
        directory: SecretsDirectory | None = None,
        secrets: Secrets | None = None,
        data: Path | None = None,
    ) -> None:
        """Use :meth:`of` or :meth:`ungoverned`."""
        self.log = log
        self.data = data
        """The directory for what outlives a worker; None where nothing does."""
        self.rates = rates
        self.purse = purse
        self.experiments = experiments
        self.answers = AnswerCache(CacheSpec())
        self.access = Access(required=beyond_loopback)
        self.secrets = secrets or Secrets()
        self.secrets_problem: str | None = None
        """Why the directory of secrets cannot be used as it is now; what it held before is in force."""
        self.open_metrics = False
        """Whether /metrics is answered without a key although others are asked for one."""
        self.policy: Policy | None = None
        """The rules for tiers beyond the fleet; None where there are none."""
        self.privacy = PrivacyRules()
        self.tier_problem: str | None = None
        """Which tiers are not asked, because their key is missing."""
        self._policies = WeakSet[Policy]()
        """Those by which requests have been decided that are still on their way."""
        self._beyond_loopback = beyond_loopback
        self._directory = directory

    @classmethod
    def ungoverned(cls, log: Log) -> Governance:
        """No key is asked for, and nothing outlives the process."""
        return cls(log, RateLimits(log), make_purse(None), Experiments(None))

    @classmethod
    def of(cls, settings: Settings, contract: FleetContract, log: Log) -> Governance:
        """What the settings name. ``start`` opens it.

        Raises:
            BadInputError: see :meth:`check`; or the store for rate limits cannot be used.
        """
        directory = None if settings.secrets is None else SecretsDirectory(settings.secrets)
        secrets = cls.check(settings, contract, directory)
        url, password = settings.valkey
        shared_file = None if settings.seat is None else settings.seat.directory / "rates.sqlite"
        stack = contract.stack
        rates = RateLimits.open(log, stack=stack, valkey_url=url, valkey_password=password, shared_file=shared_file)
        data = settings.data
        if data is None and settings.seat is not None:
            # Several workers have one ledger, even where it does not outlive them.
            data = settings.seat.directory
        purse = make_purse(data, valkey_url=url, valkey_password=password, stack=stack)
        return cls(
            log,
            rates,
            purse,
            Experiments(data),
            beyond_loopback=settings.beyond_loopback,
            directory=directory,
            secrets=secrets,
            data=data,
        )

    @staticmethod
    def check(settings: Settings, contract: FleetContract, directory: SecretsDirectory | None = None) -> Secrets:
        """Look whether a router with these settings can start, and give its secrets.

        Raises:
            BadInputError: the secrets or the privacy rules cannot be used, a tier's key is missing, or it listens
                beyond loopback and knows no key.
        """
        if directory is None and settings.secrets is not None:
            directory = SecretsDirectory(settings.secrets)
        secrets = Secrets() if directory is None else directory.load()
        access = Access(required=True)
        problem = access.update(contract, secrets)
        if problem is not None:
            raise BadInputError(f"the router's keys cannot be used: {problem}")
        missing = secrets.missing(tier.secret for tier in contract.tiers.values())
        if missing:
            where = settings.secrets or "a directory that --secrets names"
            raise BadInputError(
                f"the keys of tiers beyond the fleet are missing: put {', '.join(missing)} into {where}."
            )
        if contract.tiers:
            PrivacyRules.check(contract.privacy)
        if settings.beyond_loopback and not access.names:
            raise BadInputError(
                f"--host {settings.host} is beyond this machine's loopback, where the router asks for a key, and it "
                "knows none. Give it a directory with keys by --secrets, or make a key of the stack's with "
                "`paddock keys new NAME`; or listen on 127.0.0.1."
            )
        return secrets

    def tier_key(self, name: str) -> str | None:
        """The key that a tier asks for, as the directory of secrets holds it now."""
        return self.secrets.tier_key(name)

    async def start(self) -> None:
        """Open the ledger, and load what looks at prompts."""
        await asyncio.to_thread(self.privacy.classifier.prepare)
        await self.purse.open()

    def take_in(self, contract: FleetContract) -> bool:
        """Follow a contract. True where other privacy rules than before are in force."""
        self.open_metrics = contract.open_metrics
        # Keys that are configured are asked for on loopback too: with them come budgets that nobody should pass by.
        self.access.required = self._beyond_loopback or bool(contract.keys)
        problem = self.access.update(contract, self.secrets)
        if problem is not None:
            self.log.event("keys_unusable", level="error", problem=problem)
        self.purse.update(contract)
        self.experiments.update(contract.aliases, contract.experiments)
        self.answers.update(contract.routing.cache)
        missing = self.secrets.missing(tier.secret for tier in contract.tiers.values())
        self.tier_problem = None
        if missing:
            self.tier_problem = (
                f"tiers beyond the fleet are not asked, because their keys are missing: {', '.join(missing)}"
            )
        return self._follow_rules(contract)

    def _follow_rules(self, contract: FleetContract) -> bool:
        self.policy = None
        if not contract.tiers:
            return False
        changed = self.privacy.update(contract.privacy)
        if changed:
            for before in self._policies:
                before.withdrawn = True
        if self.privacy.problem is not None:
            self.log.event("privacy_rules_unusable", level="error", problem=self.privacy.problem)
        rules = contract.model_copy(update={"privacy": self.privacy.in_force})
        self.policy = Policy(rules, self.privacy.classifier, self.purse.refusal)
        self._policies.add(self.policy)
        return changed

    def tick(self) -> bool:
        """Carry on beside the requests. True where arms of an A/B test have other weights than before."""
        self.purse.tick()
        self.experiments.tick()
        self.answers.tick()
        news = self.experiments.news()
        for one in news:
            self.log.event("experiment", level="warning" if one["kind"] == "stopped" else "info", **one)
        return bool(news)

    def poll_secrets(self) -> bool:
        """Look at the directory of secrets. True where they have changed: take the contract in once more."""
        change = None if self._directory is None else self._directory.poll()
        if change is None:
            return False
        self.secrets_problem = change.problem
        if change.secrets is None:
            self.log.event("secrets_unusable", level="error", problem=change.problem)
            return False
        self.secrets = change.secrets
        self.log.event("secrets_changed", secrets=repr(change.secrets))
        return True

    def problems(self) -> list[str]:
        """What does not work as it should, for people who look after the router."""
        found = (
            self.secrets_problem,
            self.access.problem,
            self.rates.problem,
            self.purse.problem,
            self.experiments.problem,
            self.tier_problem,
            self.privacy.problem,
            None if self.policy is None else self.policy.problem,
        )
        return [one for one in found if one is not None]

    def families(self) -> list[Family]:
        """For Prometheus."""
        return [
            *cache_families(self.answers),
            *experiment_families(self.experiments.counted),
            *trial_families(self.experiments.declared),
            *self.purse.metrics(),
        ]

    async def close(self) -> None:
        """Write down what is still to be written."""
        await self.purse.close()
        await self.experiments.close()
        await self.rates.close()
