"""What somebody has changed by hand while the router runs: weights of an alias, endpoints taken out of service.

The contract has the last word. An override of an alias ends when a contract says something else of that alias than
the one did under which it was made, or lacks one of its models; an endpoint stays drained until somebody puts it back,
or a contract no longer holds it. Overrides lie in the data directory where there is one: workers of one machine share
them, and a restart keeps them. Routers on other machines do not know of them.
"""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.fleet_state import FleetState
from fleet_spec.contract import FleetContract

FILE_NAME: Final = "overrides.json"
_MOST_WEIGHT: Final = 1e6


@dataclass(slots=True)
class WeightsOverride:
    """Weights of an alias in place of the contract's."""

    weights: dict[str, float]
    contract: dict[str, float]
    """What the contract said when they were set."""
    by: str
    at: float
    """Seconds since 1970."""


@dataclass(slots=True)
class DrainOverride:
    """An endpoint that gets no new requests."""

    by: str
    at: float
    """Seconds since 1970."""


@dataclass(slots=True)
class _InForce:
    weights: dict[str, WeightsOverride] = field(default_factory=dict[str, WeightsOverride])
    drained: dict[str, DrainOverride] = field(default_factory=dict[str, DrainOverride])


class Overrides:
    """The overrides in force."""

    def __init__(self, directory: Path | None, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since 1970; without a directory, overrides end with the process."""
        self._path = None if directory is None else directory / FILE_NAME
        self._clock = clock
        self._now = _InForce()
        self._stamp: tuple[int, int, int] | None = None
        self.problem: str | None = None
        """Why the file cannot be used; what was read before is in force."""

    @property
    def durable(self) -> bool:
        """Whether they outlive the process."""
        return self._path is not None

    # Changes

    def checked_weights(
        self, fleet: FleetState, contract: FleetContract, alias: str, weights: object
    ) -> dict[str, float] | None:
        """Weights for an alias as somebody sent them; None for the contract's.

        Raises:
            RequestError: 400 they cannot be; 404 there is no such alias.
        """
        if alias not in contract.aliases:
            there = ", ".join(contract.aliases) or "none"
            raise RequestError(404, f"there is no alias {alias[:100]!r}. Aliases here: {there}", param="alias")
        return None if weights is None else _checked(weights, fleet)

    def set_weights(self, contract: FleetContract, alias: str, weights: dict[str, float] | None, by: str) -> None:
        """Give an alias weights that :meth:`checked_weights` has found good.

        Raises:
            RequestError: 503 they cannot be kept.
        """
        said = contract.aliases[alias]
        with self._changing() as now:
            if weights is None or weights == said:
                now.weights.pop(alias, None)
            else:
                now.weights[alias] = WeightsOverride(weights, dict(said), by, self._clock())

    def check_drained(self, fleet: FleetState, url: str, drained: bool) -> None:
        """Refuse to drain what is not there.

        Raises:
            RequestError: 404 there is no such endpoint.
        """
        here = any(endpoint.url == url for endpoint in fleet.endpoints.values())
        if not here and (drained or url not in self._now.drained):
            raise RequestError(404, f"there is no endpoint {url[:200]!r} in this fleet", param="endpoint")

    def set_drained(self, url: str, drained: bool, by: str) -> None:
        """Take an endpoint out of service, or put it back.

        Raises:
            RequestError: 503 it cannot be kept.
        """
        with self._changing() as now:
            if drained:
                now.drained.setdefault(url, DrainOverride(by, self._clock()))
            else:
                now.drained.pop(url, None)

    # In force

    def enforce(self, fleet: FleetState) -> dict[str, dict[str, float]]:
        """Have the fleet follow, after whatever else has changed it. Gives the aliases that have other weights."""
        for endpoint in fleet.endpoints.values():
            endpoint.drained = endpoint.url in self._now.drained
        weights = {
            alias: dict(override.weights)
            for alias, override in self._now.weights.items()
            if alias in fleet.aliases and override.weights.keys() <= fleet.models.keys()
        }
        fleet.aliases.update(weights)
        return weights

    def follow(self, fleet: FleetState, contract: FleetContract) -> None:
        """Drop what a new contract, already taken in, has overruled."""
        gone = [
            alias
            for alias, override in self._now.weights.items()
            if contract.aliases.get(alias) != override.contract or not override.weights.keys() <= contract.models.keys()
        ]
        here = {endpoint.url for endpoint in fleet.endpoints.values()}
        known = all(name.addresses is not None for name in fleet.names_looked_up.values())
        left = [url for url in self._now.drained if url not in here] if known else []
        if not gone and not left:
            return
        try:
            with self._changing() as now:
                for alias in gone:
                    now.weights.pop(alias, None)
                for url in left:
                    now.drained.pop(url, None)
        except RequestError as error:
            self.problem = str(error)

    def poll(self) -> bool:
        """Look at the file. True where another worker has changed it, or a process before this one left it."""
        if self._path is None or self._stamped() == self._stamp:
            return False
        self._read(self._path)
        return True

    def to_mapping(self) -> dict[str, Any]:
        """As JSON data, for the page."""
        return {
            "durable": self.durable,
            "weights": {alias: asdict(override) for alias, override in self._now.weights.items()},
            "drained": {url: asdict(override) for url, override in self._now.drained.items()},
        }

    # The file

    @contextmanager
    def _changing(self) -> Generator[_InForce]:
        """Change what is in force, on top of what other workers have changed."""
        path = self._path
        if path is None:
            yield self._now
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self._stamped() != self._stamp:
                    self._read(path)
                yield self._now
                new = path.with_suffix(".new")
                new.write_text(json.dumps(asdict(self._now)), encoding="utf-8")
                new.replace(path)
                self._stamp = self._stamped()
        except OSError as error:
            self._stamp = None  # what the file says is looked up again
            raise RequestError(503, f"{path} cannot be written: {error.strerror}") from error

    def _stamped(self) -> tuple[int, int, int] | None:
        assert self._path is not None  # noqa: S101 - asked for only where there is a file
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self, path: Path) -> None:
        self._stamp = self._stamped()
        if self._stamp is None:
            self._now = _InForce()
            return
        try:
            data: Any = json.loads(path.read_bytes())
            self._now = _InForce(
                {alias: WeightsOverride(**one) for alias, one in data["weights"].items()},
                {url: DrainOverride(**one) for url, one in data["drained"].items()},
            )
            self.problem = None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self.problem = f"{path} cannot be read ({type(error).__name__}): what it overrode before is still in force"


def _checked(weights: object, fleet: FleetState) -> dict[str, float]:
    """Weights as somebody sent them.

    Raises:
        RequestError: 400, they cannot be.
    """
    if not isinstance(weights, Mapping) or not weights:
        raise RequestError(400, 'weights is an object such as {"small": 9, "large": 1}, or null', param="weights")
    found: dict[str, float] = {}
    for name, weight in weights.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str) or name not in fleet.models:
            there = ", ".join(fleet.models)
            raise RequestError(400, f"weights: {str(name)[:100]!r} is no model of this fleet: {there}", param="weights")  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= _MOST_WEIGHT:
            raise RequestError(400, f"weights.{name} is no number from 0 to {_MOST_WEIGHT:g}", param="weights")
        found[name] = float(weight)
    if math.fsum(found.values()) <= 0:
        raise RequestError(400, "weights: one of them must be above 0, or nobody would answer", param="weights")
    return found
