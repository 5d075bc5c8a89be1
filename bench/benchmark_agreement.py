"""`paddock bench` beside GuideLLM and AIPerf on the same servers, and what its load generator costs.

- On a simulated engine of known latencies, in a process of its own: what each tool reports beside the truth.
- On a real llama.cpp server (gemma3:270m), the tools by turns in each round: median over the rounds, least and most.
  Every run has prompts of its own, all of one length, so that no prefix cache knows them. On a machine with other work
  the server is another one in each run; so each tool's mean ITL is also held against what llama.cpp itself counted
  during that very run (its /metrics: seconds of decoding over tokens after the first).
- The processor's time of the generator for each piece of a stream, beside httpx reading the same streams.

The peers are installed beside the checkout, never into it:

    uv venv ~/.cache/paddock/bench/guidellm && uv pip install -p ~/.cache/paddock/bench/guidellm guidellm==0.8.1
    uv venv ~/.cache/paddock/bench/aiperf && uv pip install -p ~/.cache/paddock/bench/aiperf aiperf==0.13.0

A peer that is not there is left out. All three count tokens with the server's usage; the peers load a tokenizer all the
same, so a trivial one is made for them.

Usage: python bench/benchmark_agreement.py [--rounds N] [--requests N] [--json FILE] [--only simulated|real|generator]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import httpx  # noqa: E402 - after the checkout's own paths
from real_engine import engine_command, free_port, process  # noqa: E402

from agent_runtime.benchmark import BenchmarkRun, Load, Prompt, Settings, Target  # noqa: E402
from components.local.files import cache_root  # noqa: E402
from tests.programs import packaged_weights  # noqa: E402
from tests.unit.benchmark.simulated_engine import Reply, SimulatedEngine, serving  # noqa: E402

TOKENS = 32
CONCURRENCY = 2
WARMUP = 2
PEERS = cache_root() / "bench"
OWN = "ITL mean / the engine's own"
ASIDE = "seconds of decoding before the measurement"
Found = dict[str, float]
_TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(sys.argv[1])
"""


def simulated_ttft(number: int) -> float:
    """0.1 to 0.4 s: any 21 requests after one another have 21 different ones, evenly spread."""
    return 0.1 + 0.015 * (number * 8 % 21)


def truth(requests: int) -> Found:
    firsts = sorted(simulated_ttft(number) for number in range(requests))
    middle = statistics.median(firsts)
    return {
        "TTFT p50 ms": middle * 1000,
        "TTFT p95 ms": firsts[round(0.95 * (requests - 1))] * 1000,
        "ITL p50 ms": 20.0,
        "ITL mean ms": 20.0,
        "E2E p50 ms": (middle + 0.02 * (TOKENS - 1)) * 1000,
        "output tokens/s": CONCURRENCY * TOKENS / (statistics.fmean(firsts) + 0.02 * (TOKENS - 1)),
    }


def serve_simulated() -> None:
    """Run the simulated engine until standard input ends."""
    engine = SimulatedEngine(lambda number, _: Reply(simulated_ttft(number), 0.02, tokens=TOKENS))
    with serving(engine, models=("m",)) as url:
        print(url, flush=True)
        sys.stdin.read()


@contextmanager
def own_process(mode: str) -> Iterator[str]:
    started = subprocess.Popen(
        [sys.executable, __file__, "--serve", mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdin is not None
    assert started.stdout is not None
    try:
        yield started.stdout.readline().strip()
    finally:
        started.stdin.close()
        started.wait(20)


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def paddock(url: str, prompts: list[str], requests: int, folder: Path) -> Found:
    path = folder / "paddock.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    command = [str(Path(sys.executable).with_name("paddock")), "bench", "--url", url, "--model", "m", "--json"]
    command += ["--concurrency", str(CONCURRENCY), "--requests", str(requests), "--max-tokens", str(TOKENS)]
    command += ["--ignore-eos", "--as-they-are", "--prompts", str(path), "--warmup", str(WARMUP - 1)]
    model = json.loads(run(command, folder))["models"][0]
    level = model["levels"][0]
    latency = level["latency"]
    # What it does before it measures runs alone, and so faster: the engine's own count is to be had without it.
    before = [model["first"], *model["warmup"]]
    return {
        ASIDE: sum(one["itlSeconds"] for one in before) * (TOKENS - 1),
        "TTFT p50 ms": latency["ttftSeconds"]["p50"]["value"] * 1000,
        "TTFT p95 ms": latency["ttftSeconds"]["p95"]["value"] * 1000,
        "ITL p50 ms": latency["itlSeconds"]["p50"]["value"] * 1000,
        "ITL mean ms": latency["itlSeconds"]["mean"] * 1000,
        "E2E p50 ms": latency["e2eSeconds"]["p50"]["value"] * 1000,
        "output tokens/s": level["throughput"]["outputTokensPerSecond"],
    }


def tokenizer(peer: str, folder: Path) -> Path:
    made = folder / f"tokenizer-{peer}"
    if not made.exists():
        run([str(PEERS / peer / "bin" / "python"), "-c", _TOKENIZER, str(made)], folder)
    return made


def guidellm(url: str, prompts: list[str], requests: int, folder: Path) -> Found:
    data, out = folder / "guidellm.jsonl", folder / "guidellm.json"
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    body = {"temperature": 0, "seed": 1, "ignore_eos": True, "max_tokens": TOKENS}
    backend = {"kind": "openai_http", "target": url, "model": "m", "request_format": "/v1/chat/completions"}
    command = [str(PEERS / "guidellm" / "bin" / "guidellm"), "run", "--disable-console"]
    command += ["--backend", json.dumps({**backend, "extras": {"body": body}})]
    command += ["--profile", f"kind=concurrent,streams={CONCURRENCY}"]
    command += ["--constraint", f"kind=max_requests,count={requests}", "--data", f"kind=json_file,path={data}"]
    command += ["--tokenizer", f"kind=hf_auto,model={tokenizer('guidellm', folder)}"]
    run([*command, "--output", f"kind=json,path={out}"], folder, {"HF_HUB_OFFLINE": "1"})
    measured = json.loads(out.read_text())["benchmarks"][0]["metrics"]

    def at(metric: str, percentile: str) -> float:
        return measured[metric]["successful"]["percentiles"][percentile]

    return {
        "TTFT p50 ms": at("time_to_first_token_ms", "p50"),
        "TTFT p95 ms": at("time_to_first_token_ms", "p95"),
        "ITL p50 ms": at("inter_token_latency_ms", "p50"),
        "ITL mean ms": measured["inter_token_latency_ms"]["successful"]["mean"],
        "E2E p50 ms": at("request_latency", "p50") * 1000,
        "output tokens/s": measured["output_tokens_per_second"]["successful"]["mean"],
    }


def aiperf(url: str, prompts: list[str], requests: int, folder: Path) -> Found:
    data = folder / "aiperf.jsonl"
    data.write_text("".join(json.dumps({"text": prompt}) + "\n" for prompt in prompts))
    body = {"temperature": 0, "seed": 1, "ignore_eos": True, "max_tokens": TOKENS}
    out = Path(tempfile.mkdtemp(dir=folder))
    command = [str(PEERS / "aiperf" / "bin" / "aiperf"), "profile", "--model", "m", "--url", url, "--ui", "none"]
    command += ["--endpoint-type", "chat", "--streaming", "--use-server-token-count", "--artifact-dir", str(out)]
    command += ["--tokenizer", str(tokenizer("aiperf", folder)), "--input-file", str(data)]
    command += ["--custom-dataset-type", "single-turn", "--concurrency", str(CONCURRENCY)]
    command += ["--request-count", str(requests), "--warmup-request-count", str(WARMUP)]
    run([*command, "--extra-inputs", json.dumps(body)], folder)
    measured = json.loads((out / "profile_export_aiperf.json").read_text())
    before = json.loads((out / "phases" / "warmup" / "profile_export_aiperf.json").read_text())
    return {
        ASIDE: before["inter_token_latency"]["avg"] / 1000 * WARMUP * (TOKENS - 1),
        "TTFT p50 ms": measured["time_to_first_token"]["p50"],
        "TTFT p95 ms": measured["time_to_first_token"]["p95"],
        "ITL p50 ms": measured["inter_token_latency"]["p50"],
        "ITL mean ms": measured["inter_token_latency"]["avg"],
        "E2E p50 ms": measured["request_latency"]["p50"],
        "output tokens/s": measured["output_token_throughput"]["avg"],
    }


TOOLS: dict[str, Callable[[str, list[str], int, Path], Found]] = {
    "paddock": paddock,
    "guidellm": guidellm,
    "aiperf": aiperf,
}


def tools() -> list[str]:
    return ["paddock", *(peer for peer in ("guidellm", "aiperf") if (PEERS / peer / "bin" / peer).exists())]


def decoded(url: str) -> tuple[float, float]:
    """Seconds that llama.cpp has spent decoding, over all slots, and the tokens that came of it."""
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    counters = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    names = ("llamacpp:tokens_predicted_seconds_total", "llamacpp:tokens_predicted_total")
    seconds, tokens = (float(counters[name]) for name in names)
    return seconds, tokens


def agreement(url: str, rounds: int, requests: int, folder: Path, *, real: bool) -> dict[str, list[Found]]:
    """What each tool finds in each round. The order turns, so that none is always first."""
    found: dict[str, list[Found]] = {tool: [] for tool in tools()}
    for number in range(rounds):
        order = tools()
        for tool in order[number % len(order) :] + order[: number % len(order)]:
            count = requests + WARMUP
            prompts = [f"Round {number + 10}, {tool[0]}: tell me about the number {one + 100}." for one in range(count)]
            before = decoded(url) if real else (0.0, 0.0)
            one_run = TOOLS[tool](url, prompts, requests, folder)
            aside_seconds = one_run.pop(ASIDE, 0.0)
            if real:
                seconds, tokens = (now - then for now, then in zip(decoded(url), before, strict=True))
                if aside_seconds:
                    seconds, tokens = seconds - aside_seconds, tokens - WARMUP * TOKENS
                # Each request's first token costs no decoding.
                one_run[OWN] = one_run["ITL mean ms"] / (seconds / (tokens * (1 - 1 / TOKENS)) * 1000)
            found[tool].append(one_run)
            print(f"  round {number + 1}, {tool}: {found[tool][-1]}", file=sys.stderr, flush=True)
    return found


def show(title: str, found: dict[str, list[Found]], known: Found | None = None) -> None:
    print(f"\n{title}\n")
    head = [
        "measure",
        *(["truth"] if known else []),
        *found,
        *(f"paddock / {peer}" for peer in found if peer != "paddock"),
    ]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for measure in next(iter(found.values()))[0]:
        values = {tool: [one[measure] for one in runs] for tool, runs in found.items()}
        cells = [f"{known[measure]:.1f}"] if known else []
        digits = 3 if measure == OWN else 1
        cells += [
            f"{statistics.median(v):.{digits}f} ({min(v):.{digits}f} to {max(v):.{digits}f})" for v in values.values()
        ]
        ours = statistics.median(values["paddock"])
        cells += [f"{ours / statistics.median(v):.3f}" for tool, v in values.items() if tool != "paddock"]
        print("| " + " | ".join([measure, *cells]) + " |")


STREAMS, PIECES = 200, 400


def serve_fast() -> None:
    """Streams that come as fast as they are read."""
    engine = SimulatedEngine(lambda *_: Reply(0.0, 1e-6, tokens=PIECES))
    with serving(engine, models=("m",)) as url:
        print(url, flush=True)
        sys.stdin.read()


def generator_cost(url: str) -> dict[str, float]:
    """Microseconds of the processor for each piece of a stream: ours, and httpx reading lines and decoding JSON."""
    target = Target("m", "m", url, "openai")
    settings = Settings(loads=(Load("closed", 8),), requests=STREAMS, warmup_requests=0)
    prompt = Prompt(({"role": "user", "content": "hello"},))
    results = asyncio.run(BenchmarkRun(settings, [prompt]).measure([target])).document()
    generator = results["models"][0]["levels"][0]["generator"]
    return {
        "paddock": generator["cpuMicrosecondsPerChunk"],
        "paddock, pieces a second": generator["chunks"] / results["models"][0]["levels"][0]["seconds"],
        "httpx": asyncio.run(_httpx_cost(url)),
    }


async def _httpx_cost(url: str) -> float:
    pieces = 0
    left = iter(range(STREAMS))

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal pieces
        for _ in left:
            async with client.stream("POST", f"{url}/v1/chat/completions", json={"messages": []}) as reply:
                async for line in reply.aiter_lines():
                    if line.startswith("data: {"):
                        json.loads(line[6:])
                        pieces += 1

    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        began = time.process_time()
        await asyncio.gather(*(one(client) for _ in range(8)))
        return (time.process_time() - began) / pieces * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=21)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=("simulated", "real", "generator"))
    parser.add_argument("--serve", choices=("simulated", "fast"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        (serve_simulated if options.serve == "simulated" else serve_fast)()
        return
    wanted = [options.only] if options.only else ["generator", "simulated", "real"]
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if "generator" in wanted:
            with own_process("fast") as url:
                document["generator"] = generator_cost(url)
            print("the processor's time for each piece of a stream, microseconds:", document["generator"])
        if "simulated" in wanted:
            with own_process("simulated") as url:
                document["simulated"] = agreement(url, options.rounds, options.requests, folder, real=False)
            known = truth(options.requests)
            show("simulated engine of known latencies", document["simulated"], known)
        if "real" in wanted:
            port = free_port()
            log = folder / "engine.log"
            url = f"http://127.0.0.1:{port}"
            stack.enter_context(process(engine_command(port, packaged_weights()), f"{url}/health", log))
            document["real"] = agreement(url, options.rounds, options.requests, folder, real=True)
            show("llama.cpp, gemma3:270m, one compute thread", document["real"])
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
