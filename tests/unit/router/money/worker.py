"""A worker of a router, as a process of its own: spends until it is killed, and says what it has spent.

It writes a line to its standard output before and after each step, so that whoever kills it knows what was certain.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.budgets import BudgetError
from agent_runtime.router.money.charges import Charge
from agent_runtime.router.money.opening import make_purse
from tests.unit.router.money.fleet import contract

TOKENS = 10


def say(text: str) -> None:
    os.write(1, (text + "\n").encode())


async def main(data: Path, valkey_url: str | None, monthly_usd: float, requests: int, every: int) -> None:
    purse = make_purse(data, valkey_url=valkey_url)
    purse.update(contract(monthly_usd=monthly_usd, soft_limit=1))
    await purse.open()
    say("open")
    for number in range(requests):
        charge = Charge("alice", "local", "assistant", Usage(0, TOKENS), 0.1)
        say("own?")
        purse.settle(None, charge)
        say("own!")
        try:
            say("paid?")
            reservation = await purse.reserve(
                key="alice", tier="commercial", model="assistant", prompt_bytes=0, max_tokens=TOKENS
            )
        except BudgetError as error:
            say("refused" if error.code == "budget_exceeded" else error.message)
            continue
        say("sent")
        purse.settle(reservation, Charge("alice", "commercial", "assistant", Usage(0, TOKENS), 0.1))
        say("paid!")
        if number % every == 0:
            await purse._books.flush()
    await purse.close()
    say("closed")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(Path(arguments[0]), arguments[1] or None, float(arguments[2]), int(arguments[3]), int(arguments[4]))
    )
