"""Who asks, as far as a key tells, and what that allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.model_names import forms
from fleet_spec.governance_spec import KeySpec, Priority, Scope
from fleet_spec.key_rules import expiry_timestamp, owner_of

ALL_SCOPES: Final[frozenset[Scope]] = frozenset({"chat", "admin", "metrics"})

_RANK: Final[dict[Priority, int]] = {"low": 0, "normal": 1, "high": 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request may do. It never holds the key, nor a hash of it."""

    name: str
    """For logs, metrics and the ledger. While a key is rotated, the old and the new one share a name."""
    scopes: frozenset[Scope] = ALL_SCOPES
    models: frozenset[str] = frozenset()
    """Names of models and aliases that it may ask for. Empty: all."""
    highest_priority: Priority = "high"
    usual_priority: Priority = "normal"
    """What its requests have that ask for none."""
    private: bool = False
    """Whatever it asks is private."""
    monthly_usd: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires_at: float = float("inf")
    """The moment from which its key is refused, in seconds since 1970."""
    limited: bool = False
    """Whether it has a rate limit."""

    def may_ask(self, name: str, models: Iterable[str] = ()) -> bool:
        """Whether it may ask for a name.

        Args:
            name: what the request names, with or without ``:latest``.
            models: the fleet's models that the name stands for. Where all of them are allowed, so is the name.
        """
        allowed = self.models
        if not allowed or not allowed.isdisjoint(forms(name)):
            return True
        behind = frozenset(models)
        return bool(behind) and behind <= allowed

    def demand_model(self, name: str, models: Iterable[str] = ()) -> None:
        """Refuse a name that :meth:`may_ask` denies.

        Raises:
            RequestError: 403.
        """
        if not self.may_ask(name, models):
            raise RequestError(
                403,
                f"the key {self.name!r} may not ask for model '{name}'. It may ask for: "
                f"{', '.join(sorted(self.models))}",
                param="model",
                code="model_not_allowed",
            )

    def priority(self, asked: str | None) -> Priority:
        """The priority of a request that asks for one, or for none: at most its key's.

        Raises:
            RequestError: 400, there is no such priority.
        """
        if asked is None:
            return self.usual_priority
        wanted = asked.strip().lower()
        if wanted not in _RANK:
            raise RequestError(400, f"X-Paddock-Priority {asked[:40]!r} is none: send high, normal or low")
        return wanted if _RANK[wanted] <= _RANK[self.highest_priority] else self.highest_priority


ANONYMOUS: Final = Caller("anonymous")
"""Whoever shows no key where none is asked for."""


def caller_of_file(name: str) -> Caller:
    """The caller with a key that lies in plain text among the router's secrets: it may do everything."""
    return Caller(name)


def caller_of_spec(name: str, spec: KeySpec, names: Mapping[str, KeySpec]) -> Caller:
    """The caller with a key of the contract.

    Raises:
        ValueError: its expiry is no day.
    """
    return Caller(
        name=owner_of(name, names),
        scopes=frozenset(spec.scopes),
        models=frozenset(spec.models),
        highest_priority=spec.priority,
        usual_priority=spec.priority,
        private=spec.private,
        monthly_usd=spec.monthly_usd,
        requests_per_minute=spec.requests_per_minute,
        tokens_per_minute=spec.tokens_per_minute,
        expires_at=float("inf") if spec.expires is None else expiry_timestamp(spec.expires),
        limited=spec.requests_per_minute is not None or spec.tokens_per_minute is not None,
    )
