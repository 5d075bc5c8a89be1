"""Counts for rate limits in Valkey or Redis, for routers on several machines.

The counting is done by the scripts of the ``limits`` package inside the server, so that it is right whatever
the number of routers and whatever their clocks say.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from agent_runtime.router.access.window import WINDOW_SECONDS, Taken, Want, Window
from fleet_spec.errors import BadInputError, PaddockError

_ANSWER_SECONDS: Final = 0.5
"""How long a request waits for its counts before it is counted on this machine alone."""
_NO_LIMIT: Final = 2**53
_CONNECTIONS: Final = 32


class SharedWindowsError(PaddockError):
    """The server cannot be reached or does not do what it is asked."""


class SharedWindows:
    """A connection to the server. It is opened when something is first counted.

    Args:
        url: such as ``redis://127.0.0.1:6379/0``, ``valkey://``, ``rediss://`` with TLS, ``unix://``.
        password: in place of one in the URL.
        namespace: what tells this fleet from others that use the same server, such as the stack's name.

    Raises:
        BadInputError: the URL is none, or a package that this needs is not installed.
    """

    def __init__(self, url: str, password: str | None, namespace: str) -> None:
        try:
            from limits.aio.storage import RedisStorage
            from limits.errors import ConfigurationError, StorageError
            from valkey.asyncio import BlockingConnectionPool
        except ImportError as error:
            raise BadInputError(
                f"rate limits shared through Valkey need the package {error.name!r}: "
                "install Paddock with the extra 'valkey'."
            ) from error
        options: dict[str, Any] = {} if password is None else {"password": password}
        try:
            # A blocking pool: more requests at once than connections wait their turn instead of failing.
            self._pool: Any = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
                url,
                max_connections=_CONNECTIONS,
                timeout=_ANSWER_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
                **options,
            )
            self._storage = RedisStorage(
                url,
                wrap_exceptions=True,
                implementation="valkey",
                key_prefix="paddock-rates",
                connection_pool=self._pool,
            )
        except (ValueError, ConfigurationError) as error:
            # The URL may hold a password: what is wrong with it is told without it.
            raise BadInputError(
                "the address of Valkey cannot be used: write redis://HOST:PORT/DATABASE, or rediss:// with TLS."
            ) from error
        self._namespace = namespace
        self._failures = (StorageError, OSError, TimeoutError)

    async def take(self, wants: tuple[Want, ...]) -> Taken:
        """Count all wants, or none of them where one does not fit.

        Raises:
            SharedWindowsError: the server does not answer.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                taken = await asyncio.gather(*(self._acquire(want.key, want.limit, want.cost) for want in wants))
                refused = None if all(taken) else taken.index(False)
                if refused is not None:
                    given_back = [want for want, got in zip(wants, taken, strict=True) if got]
                    await asyncio.gather(*(self._acquire(want.key, _NO_LIMIT, -want.cost) for want in given_back))
                windows = await asyncio.gather(*(self._window(want.key) for want in wants))
        except self._failures as error:
            raise SharedWindowsError(_reason(error)) from error
        return Taken(tuple(windows), refused)

    async def add(self, key: str, cost: int) -> None:
        """Count more, whether it fits or not.

        Raises:
            SharedWindowsError: the server does not answer.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._acquire(key, _NO_LIMIT, cost)
        except self._failures as error:
            raise SharedWindowsError(_reason(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _acquire(self, key: str, limit: int, cost: int) -> bool:
        return await self._storage.acquire_sliding_window_entry(f"{self._namespace}/{key}", limit, WINDOW_SECONDS, cost)

    async def _window(self, key: str) -> Window:
        previous, previous_left, current, current_left = await self._storage.get_sliding_window(
            f"{self._namespace}/{key}", WINDOW_SECONDS
        )
        # The server keeps a window for two of its lengths: the first is until the next window begins.
        return Window(previous, previous_left, current, max(0.0, current_left - WINDOW_SECONDS))


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
