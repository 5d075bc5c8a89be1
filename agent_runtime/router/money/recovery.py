"""Hands in what workers that were killed have left."""

from __future__ import annotations

from pathlib import Path

from agent_runtime.router.money.journal import leftovers
from agent_runtime.router.money.ledger import Batch, Ledger

MOST_RECORDS = 4096
"""How many records one transaction takes."""


async def hand_in_leftovers(ledger: Ledger, journals: Path) -> int:
    """Book the charges in the journals of workers that are gone, each exactly once, and remove these journals.

    A journal that cannot be read is renamed, to ``NAME.damaged``, and its charges of own tiers are lost.

    Raises:
        LedgerError: the ledger cannot take them now. They stay.
    """
    count = 0
    for leftover in leftovers(journals):
        try:
            left = leftover.read()
        except (ValueError, IndexError, OSError):
            # Its holds are charged as reserved, like those of any owner that is gone.
            leftover.set_aside()
            continue
        end = left.head + len(left.records)
        position = left.head
        while position < end:
            records = left.records[position - left.head :][:MOST_RECORDS]
            taken = await ledger.take(Batch.of(left.name, position, records))
            if taken == position + len(records):
                count += len(records)
            position = taken
        leftover.remove()
    return count
