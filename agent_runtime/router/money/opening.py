"""Makes a worker's purse from what the router was started with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent_runtime.router.money.purse import Purse
from agent_runtime.router.money.sqlite_ledger import JOURNALS_NAME, SqliteLedger
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.router.money.ledger import Ledger


def make_purse(
    data: Path | None, *, valkey_url: str | None = None, valkey_password: str | None = None, stack: str = ""
) -> Purse:
    """Make the purse of a worker, in that worker's process. Its ``open`` begins it.

    Args:
        data: the directory with SQLite's ledger and the workers' journals. None: neither outlives the process.
        valkey_url: where the ledger is instead, shared with routers on other machines.
        valkey_password: of that server.
        stack: the stack's name, which keeps stacks in one Valkey apart.

    Raises:
        BadInputError: there is a Valkey to be used and no client for it.
    """
    journals = None if data is None else data / JOURNALS_NAME
    ledger: Ledger
    if valkey_url is not None:
        # Its client takes a while to import, and most routers need none.
        try:
            from agent_runtime.router.money.valkey_ledger import ValkeyLedger
        except ImportError as error:
            raise BadInputError(
                "PADDOCK_VALKEY_URL is set, and the client for Valkey is not installed. "
                "fix: pip install 'paddock[valkey]'"
            ) from error
        ledger = ValkeyLedger(valkey_url, valkey_password, namespace=stack)
    else:
        ledger = SqliteLedger(data)
    return Purse(ledger, journals)
