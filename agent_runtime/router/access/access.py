"""Lets a request in or not: the keys that are known, and the one that a request shows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from agent_runtime.router.access.caller import ANONYMOUS, Caller, caller_of_file, caller_of_spec
from agent_runtime.router.access.guesses import MOST_GUESSES, Guesses
from agent_runtime.router.access.secrets_directory import Secrets
from agent_runtime.router.access.shown_key import shown_key, unusable
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.request import Request
from fleet_spec.contract import FleetContract
from fleet_spec.governance_spec import Scope
from fleet_spec.keys import hash_of

_MOST_REMEMBERED: Final = 4096
"""Keys whose hash need not be computed again."""
_MOST_HOMES: Final = 256
"""Addresses remembered for each of them."""


class _Known:
    """A key that has been shown and was right."""

    __slots__ = ("caller", "homes")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.homes: set[str] = set()
        """Addresses that it came from."""


class Access:
    """The keys in force. Keys are found by the hash of what is shown, so that no comparison can be timed.

    Args:
        required: whether a request without a key is refused. True as soon as others than this machine can ask.
        now: seconds since 1970.
    """

    def __init__(self, *, required: bool, now: Callable[[], float] = time.time) -> None:
        self.required = required
        self.problem: str | None = None
        """Why the last keys could not be taken in; those before are in force."""
        self._now = now
        self._callers: dict[str, Caller] = {}
        self._shown: dict[bytes, _Known] = {}
        self._guesses = Guesses()

    @property
    def names(self) -> list[str]:
        """Whose keys are known, in alphabetical order."""
        return sorted({caller.name for caller in self._callers.values()})

    def update(self, contract: FleetContract, secrets: Secrets) -> str | None:
        """Take the keys of a contract and of the secrets directory in, in place of those before.

        A key that is gone or changed is refused from here on. Where two keys would have one name, or two names
        one key, nothing changes; what is wrong is given back, and kept in :attr:`problem`.
        """
        try:
            callers = _callers(contract, secrets)
        except ValueError as error:
            self.problem = str(error)
            return self.problem
        self.problem = None
        self._callers = callers
        self._shown = {}
        return None

    def admit(self, request: Request, scope: Scope, address: str = "") -> Caller:
        """Who asks.

        Args:
            request: what is asked.
            scope: what its key must allow.
            address: where it comes from, for counting wrong keys.

        Raises:
            RequestError: 401 no key, or one that is unknown or has expired; 403 the key does not allow this;
                429 too many wrong keys came from there.
        """
        shown = shown_key(request.headers)
        if shown is None:
            if self.required:
                raise unusable(
                    "this router asks for a key: send it as 'Authorization: Bearer KEY'", code="missing_api_key"
                )
            return ANONYMOUS
        known = self._shown.get(shown)
        if self._guesses and (known is None or address not in known.homes):
            self._demand_few_guesses(address)
        if known is None:
            known = self._look_up(shown, address)
            if known is None:
                return ANONYMOUS
        if address not in known.homes and len(known.homes) < _MOST_HOMES:
            known.homes.add(address)
        caller = known.caller
        if caller.expires_at <= self._now():
            day = datetime.fromtimestamp(caller.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise unusable(f"the key {caller.name!r} has expired at {day}", code="expired_api_key")
        if scope not in caller.scopes:
            raise RequestError(
                403,
                f"the key {caller.name!r} has no scope {scope!r}, only {', '.join(sorted(caller.scopes))}",
                code="insufficient_scope",
            )
        return caller

    def _look_up(self, shown: bytes, address: str) -> _Known | None:
        """The key, or None where it is unknown and need not be known."""
        caller = self._callers.get(hash_of(shown.decode("latin-1")))
        if caller is None:
            if not self.required:
                return None
            self._guesses.wrong(address, self._now())
            raise unusable("this key is not known here: it may have been revoked, or belong to another fleet")
        known = _Known(caller)
        if len(self._shown) >= _MOST_REMEMBERED:
            self._shown.clear()
        self._shown[shown] = known
        return known

    def _demand_few_guesses(self, address: str) -> None:
        seconds = self._guesses.seconds_closed(address, self._now())
        if seconds > 0:
            error = RequestError(
                429, f"more than {MOST_GUESSES - 1} wrong keys came from your address", code="too_many_wrong_keys"
            )
            error.headers["Retry-After"] = str(math.ceil(seconds))
            raise error


def _callers(contract: FleetContract, secrets: Secrets) -> dict[str, Caller]:
    """What each key allows, by the key's hash.

    Raises:
        ValueError: with every clash that there is.
    """
    files = secrets.client_keys(tier.secret for tier in contract.tiers.values())
    problems = [
        f"the contract and the secrets directory both have a key {name!r}; rename or remove one"
        for name in sorted(files.keys() & contract.keys.keys())
    ]
    callers: dict[str, Caller] = {}
    named: dict[str, str] = {}
    for name, spec in contract.keys.items():
        problems += _same_key(named, spec.hash, name)
        try:
            callers[spec.hash] = caller_of_spec(name, spec, contract.keys)
        except ValueError:
            problems.append(f"the key {name!r} expires on {spec.expires!r}, which is no day")
    for name, key in files.items():
        digest = hash_of(key)
        problems += _same_key(named, digest, name)
        callers[digest] = caller_of_file(name)
    if problems:
        raise ValueError("; ".join(problems))
    return callers


def _same_key(named: dict[str, str], digest: str, name: str) -> list[str]:
    other = named.setdefault(digest, name)
    return [] if other == name else [f"{other!r} and {name!r} are the same key; give each one of its own"]
