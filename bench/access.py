"""What it costs to let a request in: keys and rate limits, in microseconds of CPU a request.

Everything is measured in one run, and the least of several rounds is told, which other work on the machine disturbs
the least. Requests have the headers that OpenAI's Python client sends. The floor is the same request let in without
looking at any key: one call and one walk over its headers.

Usage: python bench/access.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_runtime.router.access.access import Access
from agent_runtime.router.access.caller import Caller
from agent_runtime.router.access.local_windows import FileWindows
from agent_runtime.router.access.rates import RateLimits
from agent_runtime.router.access.secrets_directory import Secrets
from agent_runtime.router.log import Log
from agent_runtime.router.request import Request
from fleet_spec.contract import FleetContract
from fleet_spec.keys import hash_of, new_key

REPEAT = 20_000
ADDRESS = "10.0.0.1"


def contract(keys: dict[str, dict[str, Any]]) -> FleetContract:
    url = "http://127.0.0.1:8080"
    return FleetContract.from_mapping(
        {
            "version": 1,
            "stack": "bench",
            "target": "local",
            "router": {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": f"{url}/metrics"},
            "models": {},
            "keys": keys,
        }
    )


def request(key: str | None) -> Request:
    made = Request()
    made.method, made.path = "POST", "/v1/chat/completions"
    made.headers = [
        (b"host", b"127.0.0.1:8080"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"accept", b"application/json"),
        (b"content-type", b"application/json"),
        (b"user-agent", b"OpenAI/Python 2.8.0"),
        (b"content-length", b"512"),
    ]
    if key is not None:
        made.headers.insert(6, (b"authorization", b"Bearer " + key.encode()))
    return made


def microseconds(work: Callable[[], object], rounds: int, repeat: int = REPEAT) -> float:
    """The least of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(repeat):
            work()
        best = min(best, (time.process_time() - began) / repeat)
    return best * 1e6


def floor(asked: Request) -> None:
    for name, _value in asked.headers:
        if name == b"":
            return


def measure_admission(keys: int, rounds: int) -> dict[str, float]:
    """A key used before, a key used for the first time, and all keys taken in anew."""
    made = {f"key-{number}": new_key() for number in range(keys)}
    told = contract({name: {"hash": hash_of(key)} for name, key in made.items()})
    access = Access(required=True)
    access.update(told, Secrets())
    asked = [request(key) for key in made.values()]
    turn = iter(range(10**12))

    def admit() -> None:
        access.admit(asked[next(turn) % keys], "chat", ADDRESS)

    again = microseconds(admit, rounds)

    def admit_new() -> None:
        access._shown.clear()
        access.admit(asked[0], "chat", ADDRESS)

    return {
        "again": again,
        "firstTime": microseconds(admit_new, rounds),
        "update": microseconds(lambda: access.update(told, Secrets()), rounds, repeat=max(1, 2000 // keys)),
    }


def measure_rates(rates: RateLimits, rounds: int) -> float:
    """A request of a key with both limits: counted, and charged for more than was estimated."""
    caller = Caller("bench", requests_per_minute=10**9, tokens_per_minute=10**12, limited=True)
    return microseconds(lambda: rates.settle(rates.admit_now(caller, 100), 300), rounds, repeat=REPEAT // 10)


def measure(rounds: int) -> dict[str, Any]:
    open_access = Access(required=False)
    open_access.update(contract({}), Secrets())
    plain = request(None)
    log = Log(lambda _text: None)
    with tempfile.TemporaryDirectory() as directory:
        in_file = RateLimits(log, local=FileWindows(Path(directory) / "rates.sqlite"))
        result: dict[str, Any] = {
            "python": platform.python_version(),
            "unit": "microseconds of CPU",
            "floor": microseconds(lambda: floor(plain), rounds),
            "noKeyAsked": microseconds(lambda: open_access.admit(plain, "chat", ADDRESS), rounds),
            "keys": {str(keys): measure_admission(keys, rounds) for keys in (1, 1000)},
            "rateLimits": {
                "memory": measure_rates(RateLimits(log), rounds),
                "file": measure_rates(in_file, rounds),
            },
        }
        asyncio.run(in_file.close())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.rounds)
    print(f"floor                          {found['floor']:8.2f} us")
    print(f"no key asked for, none shown   {found['noKeyAsked']:8.2f} us")
    for keys, costs in found["keys"].items():
        print(f"{keys:>4} keys: used before         {costs['again']:8.2f} us")
        print(f"           for the first time  {costs['firstTime']:8.2f} us")
        print(f"           all taken in anew   {costs['update']:8.2f} us")
    for where, cost in found["rateLimits"].items():
        print(f"both rate limits, {where:<12} {cost:8.2f} us")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
