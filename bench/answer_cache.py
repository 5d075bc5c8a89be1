"""What the cache of answers and the A/B tests cost a request, in microseconds of CPU.

Beside each key stands its floor: the body decoded and hashed once more, which is the least that any key over the whole
request takes. A hit is measured from the decoded request to the last byte written, into a transport that drops it.

Usage: python bench/answer_cache.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from agent_runtime.router.answers import AnswerCache, Answerer, Question, Replay
from agent_runtime.router.dialects.operations import OPENAI_CHAT
from agent_runtime.router.experiments import Assignment, Experiments, Outcome, assign, unit_of
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.request import Request
from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import CacheSpec

TOKENS = 50
TURN = 'Why is the sky blue, and "why" is it red in the evening?\n'
ENTRY = ModelEndpoints.model_validate({"model": "tiny:1b", "engine": "llamacpp", "contextLength": 2048})
ANSWERER = Answerer("m", ENTRY, "local")
HEAD = {"id": "chatcmpl-0123456789abcdef01234567", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class Client:
    """As much of a client's connection as a replay needs."""

    def __init__(self) -> None:
        self.transport = self
        self.work: object = None
        self.write_paused = False

    def write(self, data: bytes | memoryview) -> None:
        del data

    def closing_lines(self, request: Request) -> bytes:
        del request
        return b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"

    def done(self, *, keep_alive: bool) -> None:
        del keep_alive


def request_of(size_bytes: int, **fields: Any) -> dict[str, Any]:
    text = (TURN * (size_bytes // len(TURN) + 1))[: size_bytes - 100]
    return {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0, "seed": 42, **fields}


def events() -> list[bytes]:
    said = [{"index": 0, "delta": {"content": " blue"}, "finish_reason": None}]
    end = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    chunks = [{**HEAD, "choices": choices} for choices in [said] * TOKENS + [end]]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": " blue" * TOKENS}, "finish_reason": "stop"}
    return json.dumps({**HEAD, "object": "chat.completion", "choices": [choice]}).encode()


def asked(cache: AnswerCache, body: dict[str, Any]) -> Question | None:
    return cache.question(OPENAI_CHAT, body, owner="key", private=False)


def recorded(cache: AnswerCache, body: dict[str, Any], pieces: list[bytes]) -> None:
    question = asked(cache, body)
    assert question is not None
    recording = cache.record(question, ANSWERER)
    assert recording is not None
    recording.begin(200, "text/event-stream", {"X-Paddock-Model": "m"})
    for piece in pieces:
        recording.write(piece)
    assert recording.end(None)


def hit(cache: AnswerCache, body: dict[str, Any], loop: asyncio.AbstractEventLoop, client: Client) -> None:
    question = asked(cache, body)
    assert question is not None
    answer = cache.find(question, ANSWERER)
    assert answer is not None
    Replay(
        cast("ClientConnection", client),
        Request(),
        answer,
        age_seconds=cache.age_seconds(answer),
        headers={"X-Paddock-Request-Id": "r"},
        loop=loop,
        patience_seconds=30,
        on_end=lambda _: None,
    ).start()


def microseconds(work: Callable[[], object], rounds: int) -> list[float]:
    """CPU time of one call in each round, after a round that warms up."""
    calls = 1
    while _spent(work, calls) < 0.02:
        calls *= 2
    return [_spent(work, calls) / calls * 1e6 for _ in range(rounds)]


def _spent(work: Callable[[], object], calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        work()
    return time.process_time() - began


def floor(raw: bytes) -> bytes:
    json.loads(raw)
    return blake2b(raw).digest()


def measured(rounds: int, loop: asyncio.AbstractEventLoop) -> dict[str, list[float]]:
    cache, client = AnswerCache(CacheSpec()), Client()
    found: dict[str, list[float]] = {}
    by_chance = request_of(1000, temperature=0.7, seed=None)
    found["not cacheable: a look"] = microseconds(lambda: asked(cache, by_chance), rounds)
    for name, size_bytes in (("1 KB", 1000), ("100 KB", 100_000)):
        body = request_of(size_bytes)
        raw = json.dumps(body).encode()
        found[f"{name}: key"] = microseconds(lambda body=body: asked(cache, body), rounds)
        found[f"{name}: decoding and one hash, the floor"] = microseconds(lambda raw=raw: floor(raw), rounds)
        streamed = {**body, "stream": True}
        recorded(cache, body, [whole()])
        recorded(cache, streamed, events())
        found[f"{name}: hit, whole"] = microseconds(lambda body=body: hit(cache, body, loop, client), rounds)
        found[f"{name}: hit, stream of {TOKENS}"] = microseconds(
            lambda streamed=streamed: hit(cache, streamed, loop, client), rounds
        )
    body, pieces = request_of(1000, stream=True), events()
    found[f"recording a stream of {TOKENS}, key included"] = microseconds(lambda: recorded(cache, body, pieces), rounds)
    found.update(experiments(rounds, loop))
    return found


def experiments(rounds: int, loop: asyncio.AbstractEventLoop) -> dict[str, list[float]]:
    tests = Experiments(None)
    tests.update({"assistant": {"a": 0.5, "b": 0.5}})
    arms, arm, outcome = [("a", 0.5), ("b", 0.5)], Assignment("assistant", "a", "a"), Outcome(200, 1.0, 0.1, 10, 50)

    def draw() -> None:
        assign("assistant", arms, unit_of("session", "openai", {}, owner="key"), lambda _: True)

    found = {
        "A/B: sticky draw of two arms": microseconds(draw, rounds),
        "A/B: request id": microseconds(lambda: tests.request_id(arm), rounds),
        "A/B: outcome": microseconds(lambda: tests.record(arm, outcome), rounds),
    }
    loop.run_until_complete(tests.close())
    return found


def report(found: dict[str, list[float]], rounds: int) -> str:
    lines = [f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds.", ""]
    lines += ["| what | median | least | most |", "|---|---|---|---|"]
    for name, values in found.items():
        cells = [f"{value:.1f} us" for value in (statistics.median(values), min(values), max(values))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="where to write every round's figures")
    options = parser.parse_args()
    with asyncio.Runner() as runner:
        found = measured(options.rounds, runner.get_loop())
    print(report(found, options.rounds))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
