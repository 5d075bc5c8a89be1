"""The router before real llama.cpp servers: tokens a second beside asking them straight, and prefix affinity.

- Tokens a second of one server, straight and through the router, by turns in one run: one client, and as many as the
  server has slots.
- Time to the first token (TTFT) of conversations that share long beginnings, over two replicas: `balancing: prefix`
  beside turns about (leastOutstanding with one client at a time takes turns). Every conversation's beginning is sent
  once before; what is measured are its later turns.

Usage: python bench/real_engine.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.ports import free_port  # noqa: E402 - the checkout's own
from tests.programs import packaged_weights  # noqa: E402 - the checkout's own

CONTEXT = 2048
SLOTS = 2
TOKENS = 64
_FRESH = httpx.Limits(max_keepalive_connections=0)
"""llama.cpp closes a connection after some requests, and whoever asks straight may find it closed just then."""
SENTENCES = ("The sky was grey over the harbour. ", "A clerk counted the boxes twice. ", "Nobody had seen the letter. ")


@contextmanager
def process(command: list[str], url: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if started.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[2]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def engine_command(port: int, weights: Path) -> list[str]:
    command = [sys.executable, "-m", "components.local.llamacpp_server", "--weights", str(weights), "--model", "m"]
    return [*command, "--port", str(port), "--context", str(CONTEXT), "--parallel", str(SLOTS), "--threads", "1"]


@contextmanager
def router(ports: list[int], balancing: str, folder: Path) -> Iterator[str]:
    url, port = "http://127.0.0.1:1", free_port()
    model = {
        "model": "m",
        "engine": "llamacpp",
        "contextLength": CONTEXT,
        "parallel": SLOTS,
        "endpoints": [{"url": f"http://127.0.0.1:{one}"} for one in ports],
    }
    contract = folder / f"{balancing}-{port}.json"
    contract.write_text(
        json.dumps(
            {
                "version": 1,
                "stack": "bench",
                "target": "local",
                "router": {"url": url, "openai": url, "ollama": url, "metrics": url},
                "models": {"m": model},
                "routing": {"balancing": balancing, "cache": {"enabled": False}},
            }
        )
    )
    command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(contract), "--port", str(port)]
    with process(command, f"http://127.0.0.1:{port}/readyz", folder / f"router-{port}.log"):
        yield f"http://127.0.0.1:{port}"


def stream(client: httpx.Client, url: str, messages: list[dict[str, str]], tokens: int) -> tuple[float, float, int]:
    """Seconds to the first token, seconds in all, and how many tokens there were."""
    body: dict[str, Any] = {
        "model": "m",
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    began, first, made = time.perf_counter(), 0.0, 0
    with client.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=300) as reply:
        assert reply.status_code == 200, reply.read()
        for line in reply.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if not first and event.get("choices") and event["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - began
            if event.get("usage"):
                made = event["usage"]["completion_tokens"]
    return first, time.perf_counter() - began, made


def throughput(url: str, clients: int, requests: int) -> float:
    """Tokens a second of all clients together."""
    with httpx.Client(trust_env=False, limits=_FRESH) as client, ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        asked = [[{"role": "user", "content": f"Tell me about the number {number}."}] for number in range(requests)]
        found = list(pool.map(lambda messages: stream(client, url, messages, TOKENS), asked))
    return sum(tokens for _, _, tokens in found) / (time.perf_counter() - began)


def conversations(count: int) -> list[str]:
    """Beginnings of some 1,000 tokens, each of its own."""
    chance = random.Random(7)
    return [f"Conversation {n}. " + "".join(chance.choices(SENTENCES, k=110)) for n in range(count)]


def first_tokens(url: str, count: int, turns: int) -> list[float]:
    """TTFT of the later turns of conversations that go on by turns."""
    seconds: list[float] = []
    with httpx.Client(trust_env=False, limits=_FRESH) as client:
        beginnings = conversations(count)
        for turn in range(turns + 1):
            for text in beginnings:
                messages = [{"role": "system", "content": text}, {"role": "user", "content": f"Question {turn}?"}]
                first, _, _ = stream(client, url, messages, 4)
                if turn:
                    seconds.append(first)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    weights = packaged_weights()
    ratios: dict[str, list[float]] = {"1 client": [], f"{SLOTS} clients": []}
    ttft: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, ports = Path(name), [free_port(), free_port()]
        for port in ports:
            log = folder / f"engine-{port}.log"
            stack.enter_context(process(engine_command(port, weights), f"http://127.0.0.1:{port}/health", log))
        with router(ports[:1], "leastOutstanding", folder) as through:
            straight = f"http://127.0.0.1:{ports[0]}"
            throughput(straight, 1, 1)
            for turn in range(options.rounds):
                for kind, clients in (("1 client", 1), (f"{SLOTS} clients", SLOTS)):
                    order = (straight, through) if turn % 2 else (through, straight)
                    found = {url: throughput(url, clients, 4 * clients) for url in order}
                    ratios[kind].append(found[through] / found[straight])
        # Three conversations over two replicas of two slots: taking turns, a conversation comes to the other replica
        # each time; with affinity it finds what was computed for it before.
        for balancing in ("leastOutstanding", "prefix"):
            with router(ports, balancing, folder) as url:
                ttft[balancing] = statistics.median(first_tokens(url, 3, 4))
    for kind, values in ratios.items():
        print(f"tokens a second through the router over straight, {kind}: {statistics.median(values):.3f} {values}")
    ratio = ttft["leastOutstanding"] / ttft["prefix"]
    print(
        f"median TTFT, turns about {ttft['leastOutstanding']:.3f} s, prefix {ttft['prefix']:.3f} s: {ratio:.2f} times"
    )
    if options.json:
        options.json.write_text(json.dumps({"throughputRatios": ratios, "ttftSeconds": ttft}, indent=2) + "\n")


if __name__ == "__main__":
    main()
