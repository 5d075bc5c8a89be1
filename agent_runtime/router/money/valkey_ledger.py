"""The ledger in Valkey or Redis, shared by the replicas of a router on several machines.

Every step is one script, so that it is whole whatever fails, and safe to repeat, so that an answer that was lost is no
loss. The server must keep what it is given: ``appendonly yes``, and no policy that evicts keys without a time to live.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any, Final, cast

from valkey.asyncio import Valkey
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ResponseError, ValkeyError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from agent_runtime.router.money import valkey_scripts as scripts
from agent_runtime.router.money.charges import MEASURES, Series
from agent_runtime.router.money.ledger import Batch, Hold, LedgerError, Refused, Row, Totals, scopes
from agent_runtime.router.money.months import DAY_SECONDS

_SOCKET_SECONDS: Final = 3.0
_ALIVE_SECONDS: Final = 60
"""How long an owner is taken to be alive after it last said so."""
_KEPT_HOLD_SECONDS: Final = 2 * DAY_SECONDS
_KEPT_JOURNAL_SECONDS: Final = 60 * DAY_SECONDS
_NUMBERS: Final = {name: MEASURES.index(name) for name in ("requests", "errors", "nano_usd")}


class ValkeyLedger:
    """See :class:`~agent_runtime.router.money.ledger.Ledger`."""

    def __init__(
        self, url: str, password: str | None = None, *, namespace: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """Make a ledger; ``open`` begins it.

        Args:
            url: of the server, such as ``valkey://valkey:6379/0`` or ``redis://...``.
            password: of the server, where the URL does not hold it.
            namespace: the stack's name: routers of the same stack share their money.
            clock: Unix time.
        """
        self._place = url.rpartition("@")[2]
        self._prefix = f"{{paddock:{namespace}}}:"
        self._clock = clock
        self._client = Valkey.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            password=password,
            decode_responses=True,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            # Every step may be repeated. Once, for a connection that the server has closed meanwhile.
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[ValkeyConnectionError, ValkeyTimeoutError],
        )
        self._scripts = {
            text: self._client.register_script(text)
            for text in (scripts.RESERVE, scripts.RELEASE, scripts.TAKE, scripts.ABANDON)
        }

    async def open(self) -> None:
        """Begin.

        Raises:
            LedgerError: the server cannot be reached, or would throw the ledger away when its memory is full.
        """
        await self._do(self._client.ping())  # pyright: ignore[reportUnknownMemberType]
        found: dict[str, str] = {}
        # A server that is somebody else's may not tell.
        with contextlib.suppress(ResponseError):
            found = cast("dict[str, str]", await self._client.config_get("maxmemory-policy"))  # pyright: ignore[reportUnknownMemberType]
        policy = found.get("maxmemory-policy", "noeviction")
        if policy.startswith("allkeys"):
            raise LedgerError(
                f"Valkey at {self._place} evicts any key when its memory is full (maxmemory-policy {policy}), the "
                "ledger among them. fix: set maxmemory-policy to noeviction or volatile-lru"
            )

    async def close(self) -> None:
        """End."""
        with contextlib.suppress(ValkeyError, OSError):
            await self._client.aclose()

    async def reserve(self, hold: Hold) -> Refused | None:
        """See :meth:`Ledger.reserve`."""
        document = {
            "id": hold.id,
            "owner": hold.owner,
            "day": hold.day,
            "series": _series_text(hold.series),
            "scopes": scopes(hold.series),
            "nano": hold.nano_usd,
            "at": hold.at,
            "limits": hold.limits,
        }
        answer = cast("list[Any]", await self._run(scripts.RESERVE, json.dumps(document)))
        return None if answer[0] == 1 else Refused(hold.limits[int(answer[1]) - 1], int(answer[2]))

    async def release(self, hold_id: str) -> None:
        """See :meth:`Ledger.release`."""
        await self._run(scripts.RELEASE, hold_id, _KEPT_HOLD_SECONDS)

    async def take(self, batch: Batch) -> int:
        """See :meth:`Ledger.take`."""
        document = {
            "journal": batch.journal,
            "first": batch.first,
            "upto": batch.upto,
            "sums": [_charge(day, series, sums) for (day, series), sums in batch.sums.items()],
            "settlements": [
                {"id": settlement.hold, **_charge(settlement.day, settlement.series, settlement.measures)}
                for settlement in batch.settlements
            ],
            "requests": _NUMBERS["requests"],
            "errors": _NUMBERS["errors"],
            "nano": _NUMBERS["nano_usd"],
        }
        return int(await self._run(scripts.TAKE, json.dumps(document), _KEPT_HOLD_SECONDS, _KEPT_JOURNAL_SECONDS))

    async def totals(self, month: str) -> Totals:
        """See :meth:`Ledger.totals`."""
        found = Totals(month)
        for field, value in (await self._hash(f"totals:{month}")).items():
            kind, _, scope = field.partition(":")
            (found.spent if kind == "s" else found.reserved)[scope] = int(value)
        return found

    async def charge_abandoned(self) -> int:
        """See :meth:`Ledger.charge_abandoned`. An owner is gone when it has said nothing for a minute."""
        latest = self._clock() - _ALIVE_SECONDS
        found = self._client.zrangebyscore(f"{self._prefix}open", "-inf", latest)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        columns = json.dumps(list(_NUMBERS.values()))
        count = 0
        for hold_id in cast("list[str]", await self._do(found)):
            count += int(await self._run(scripts.ABANDON, hold_id, _KEPT_HOLD_SECONDS, columns))
        return count

    async def beat(self, owner: str) -> None:
        """See :meth:`Ledger.beat`."""
        await self._do(self._client.set(f"{self._prefix}alive:{owner}", "1", ex=_ALIVE_SECONDS))  # pyright: ignore[reportUnknownMemberType]

    async def rows(self, first_day: str, last_day: str) -> list[Row]:
        """See :meth:`Ledger.rows`."""
        found: list[Row] = []
        day = date.fromisoformat(first_day)
        while day <= date.fromisoformat(last_day):
            by_series: dict[str, list[int]] = {}
            for field, value in (await self._hash(f"charges:{day.isoformat()}")).items():
                series, _, number = field.rpartition("\n")
                by_series.setdefault(series, [0] * len(MEASURES))[int(number)] = int(value)
            found += [
                Row(day.isoformat(), Series(*json.loads(series)), sums) for series, sums in sorted(by_series.items())
            ]
            day += timedelta(days=1)
        return found

    async def _hash(self, name: str) -> dict[str, str]:
        found = self._client.hgetall(self._prefix + name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return cast("dict[str, str]", await self._do(cast("Awaitable[Any]", found)))

    async def _run(self, script: str, *arguments: str | int) -> Any:
        return await self._do(self._scripts[script](args=[self._prefix, *arguments]))

    async def _do(self, work: Any) -> Any:
        try:
            return await work
        except (TimeoutError, ValkeyError, OSError) as error:
            raise LedgerError(f"the ledger in Valkey at {self._place} cannot be used: {error}") from error


def _series_text(series: Series) -> str:
    return json.dumps(series)


def _charge(day: str, series: Series, sums: list[int]) -> dict[str, Any]:
    return {
        "day": day,
        "series": _series_text(series),
        "scopes": scopes(series),
        "nano": sums[_NUMBERS["nano_usd"]],
        "measures": [[number, value] for number, value in enumerate(sums) if value],
    }
