"""What must hold between keys, tiers, budgets, privacy patterns and the models they name."""

from __future__ import annotations

import difflib
import importlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from fleet_spec.errors import Problem
from fleet_spec.governance_spec import KeySpec
from fleet_spec.key_rules import PREVIOUS_SUFFIX, STACK_KEY, expiry_timestamp, owner_of
from fleet_spec.spec import FleetSpec

_PATTERN_MEMORY_BYTES = 64 << 20
"""What one pattern's automaton may take: as much as the router lets it have."""


def governance_problems(rest: FleetSpec, names: Collection[str], *, now: datetime | None = None) -> Iterator[Problem]:
    """What is wrong with keys, tiers, the budget and privacy patterns.

    Args:
        rest: the config.
        names: the models and aliases that clients may ask for.
        now: when to look whether keys have expired; the present by default.
    """
    timestamp = (now or datetime.now(UTC)).timestamp()
    for name, key in rest.router.keys.items():
        yield from _key(name, key, rest.router.keys, names, timestamp)
    yield from _same_keys(rest)
    yield from _tiers(rest, names)
    yield from _patterns(rest)


def _key(
    name: str, key: KeySpec, keys: Collection[str], names: Collection[str], now_timestamp: float
) -> Iterator[Problem]:
    where = f"router.keys.{name}"
    if name == STACK_KEY:
        yield Problem(where, f"{STACK_KEY!r} is the name of the key that the stack makes itself", "rename it")
    for model in key.models:
        if model not in names:
            yield Problem(f"{where}.models", f"{model!r} is no model and no alias of this fleet", _fix(model, names))
    if key.expires is None:
        return
    try:
        expires_at = expiry_timestamp(key.expires)
    except ValueError:
        yield Problem(f"{where}.expires", f"{key.expires!r} is no day", "write one that there is, as 2027-01-31")
        return
    # A rotated key is meant to run out: what is left of it does no harm until somebody tidies up.
    rotated = name.endswith(PREVIOUS_SUFFIX) and owner_of(name, keys) != name
    if expires_at <= now_timestamp and not rotated:
        yield Problem(
            f"{where}.expires",
            f"the key has expired at {key.expires!r} and opens nothing",
            f"write a later day, or remove the key: paddock keys revoke {name} --write",
        )


def _same_keys(rest: FleetSpec) -> Iterator[Problem]:
    by_hash: defaultdict[str, list[str]] = defaultdict(list)
    for name, key in rest.router.keys.items():
        by_hash[key.hash].append(name)
    for same in by_hash.values():
        if len(same) > 1:
            yield Problem(
                f"router.keys.{same[-1]}.hash",
                f"{' and '.join(repr(name) for name in same)} are the same key",
                f"make another: paddock keys new {same[-1]}",
            )


def _tiers(rest: FleetSpec, names: Collection[str]) -> Iterator[Problem]:
    configured = {"cloud": rest.tiers.cloud, "commercial": rest.tiers.commercial}
    for tier, spec in configured.items():
        for name in spec.models if spec is not None else ():
            if name not in names:
                yield Problem(
                    f"tiers.{tier}.models.{name}",
                    f"{name!r} is no model and no alias of this fleet, so nobody can ask for it",
                    _fix(name, names),
                )
    for tier in rest.budget.tiers:
        if configured[tier] is None:
            yield Problem(
                f"budget.tiers.{tier}", f"there is no tier {tier!r} to spend it on", f"add tiers.{tier}, or remove it"
            )


def _patterns(rest: FleetSpec) -> Iterator[Problem]:
    """Patterns that the router could not use: it matches them with RE2, in time that is linear in the prompt."""
    if not rest.privacy.patterns:
        return
    # Few stacks have patterns of their own, and the others need not wait for its library.
    re2: Any = importlib.import_module("re2")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    for name, pattern in rest.privacy.patterns.items():
        try:
            re2.compile(pattern, options)
        except re2.error as error:
            reason: object = error.args[0] if error.args else error
            yield Problem(
                f"privacy.patterns.{name}",
                f"{pattern!r} cannot be used: {reason.decode() if isinstance(reason, bytes) else reason}",
                "write it in RE2's syntax, which has no look-around and no back-references",
            )


def _fix(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write one of {', '.join(sorted(names))}" if names else "add it to the models"
