"""What is reported beside what is true: a simulated engine whose latencies are known, in virtual time."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest

from agent_runtime.benchmark.generator import Asking, Generator, arrivals
from agent_runtime.benchmark.prompts import PromptOrder, built_in
from agent_runtime.benchmark.sample import Level
from agent_runtime.benchmark.settings import Limits, Load, Settings
from agent_runtime.benchmark.summary import level_document
from agent_runtime.benchmark.target import Target
from tests.unit.benchmark.simulated_engine import Reply, SimulatedEngine, VirtualLoop, in_virtual_time

pytestmark = pytest.mark.unit
TARGET = Target("m", "m", "http://simulated", "openai", usd_per_hour=3.6)


def measure(
    engine: SimulatedEngine,
    load: Load,
    settings: Settings,
    *,
    dialect: Any = "openai",
    busy: tuple[float, float] | None = None,
) -> Level:
    """A level of load; ``busy`` is when, and for how long, the generator itself is held up."""

    async def work(loop: VirtualLoop) -> Level:
        asking = Asking(dialect, "m", settings.max_tokens, settings.seed, ignore_eos=False)
        client = engine.client(loop, settings.timeout_seconds)
        order = PromptOrder(built_in(), settings.seed, unique=True)
        level = Level(load)

        def hold() -> None:
            assert busy is not None
            loop.now += busy[1]

        if busy is not None:
            loop.call_at(busy[0], hold)
        await Generator(client, asking, order, loop.time).run(level, settings)
        client.close()
        return level

    return in_virtual_time(work)


def document(level: Level, limits: Limits | None = None) -> dict[str, Any]:
    return level_document(level, TARGET, limits or Limits())


def exponential(count: int, mean: float) -> list[float]:
    """As many values as that, spread as an exponential distribution says, in an order of chance."""
    values = [-mean * math.log(1 - (number + 0.5) / count) for number in range(count)]
    random.Random(5).shuffle(values)
    return values


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_percentiles_are_those_of_the_engines_distribution(dialect: str) -> None:
    first, gaps = exponential(1000, 0.4), exponential(1000, 0.02)
    engine = SimulatedEngine(lambda number, _: Reply(first[number], gaps[number], tokens=4))
    found = document(measure(engine, Load("closed", 16), Settings(requests=1000), dialect=dialect))
    for measured, mean in (("ttftSeconds", 0.4), ("itlSeconds", 0.02)):
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
            one = found["latency"][measured][name]
            truth = -mean * math.log(1 - share)
            assert one["value"] == pytest.approx(truth, rel=0.03)
            assert one["low"] <= truth <= one["high"]
    assert found["requests"] == {"sent": 1000, "good": 1000, "failed": 0}


def test_each_measure_follows_its_formula() -> None:
    engine = SimulatedEngine(lambda *_: Reply(ttft_seconds=0.5, itl_seconds=0.1, tokens=11))
    found = document(measure(engine, Load("closed", 4), Settings(requests=40)))
    assert found["latency"]["ttftSeconds"]["p95"]["value"] == pytest.approx(0.5)
    assert found["latency"]["itlSeconds"]["p50"]["value"] == pytest.approx(0.1)
    assert found["latency"]["e2eSeconds"]["max"] == pytest.approx(1.5)
    assert found["latency"]["longestGapSeconds"]["max"] == pytest.approx(0.1)
    # Ten waves of four requests of 1.5 s.
    assert found["seconds"] == pytest.approx(15)
    assert found["throughput"]["outputTokensPerSecond"] == pytest.approx(40 * 11 / 15)
    assert found["throughput"]["totalTokensPerSecond"] == pytest.approx(40 * 21 / 15)
    assert found["throughput"]["outputTokensPerSecondOfUser"] == pytest.approx(10)
    # 3.60 dollars an hour are a tenth of a cent a second.
    assert found["money"]["usd"] == pytest.approx(0.015)
    assert found["money"]["usdPerMillionOutputTokens"] == pytest.approx(0.015 / 440 * 1e6)


def test_goodput_counts_what_keeps_every_limit() -> None:
    engine = SimulatedEngine(lambda number, _: Reply(0.1 if number % 4 else 0.9, 0.05 if number % 2 else 0.01))
    level = measure(engine, Load("closed", 1), Settings(requests=40))
    found = document(level, Limits(ttft_seconds=0.5, itl_seconds=0.02))
    # Numbers 2, 6, 10 ... are quick in both.
    assert found["goodput"]["requests"] == 10
    assert found["goodput"]["share"] == 0.25
    assert found["goodput"]["requestsPerSecond"] == pytest.approx(10 / found["seconds"])
    assert document(level)["goodput"] is None


def test_an_open_loop_sees_a_stall_in_every_request_that_it_would_have_hit() -> None:
    """Ten requests a second for 20 s; for 5 s the engine says nothing: the 50 of these wait 5.0, 4.9 ... 0.1 s."""
    quick = SimulatedEngine(lambda *_: Reply(0.001), stall=(5.0, 10.0))
    level = measure(quick, Load("constant", 10), Settings(requests=200))
    waits = sorted((sample.ttft_seconds or 0.0 for sample in level.samples), reverse=True)[:50]
    assert waits == pytest.approx([5 - number / 10 for number in range(50)], abs=0.002)
    assert document(level)["latency"]["ttftSeconds"]["p90"]["value"] > 2.9

    # A single client waits for its answer, and sees the stall once.
    lonely = SimulatedEngine(lambda *_: Reply(0.1), stall=(5.0, 10.0))
    level = measure(lonely, Load("closed", 1), Settings(duration_seconds=20))
    slow = [sample for sample in level.samples if (sample.ttft_seconds or 0) > 0.2]
    assert len(slow) == 1
    assert document(level)["latency"]["ttftSeconds"]["p90"]["value"] == pytest.approx(0.1)


def test_a_generator_that_was_held_up_counts_from_when_requests_were_due_and_says_so() -> None:
    engine = SimulatedEngine(lambda *_: Reply(0.001))
    level = measure(engine, Load("constant", 10), Settings(requests=100), busy=(2.05, 3.0))
    late = [sample for sample in level.samples if sample.dispatch_delay_seconds > 0.01]
    assert len(late) == 30
    assert all((s.ttft_seconds or 0) == pytest.approx(s.dispatch_delay_seconds + 0.001) for s in late)
    found = document(level)
    assert found["dispatchDelaySeconds"]["max"] == pytest.approx(2.95, abs=0.02)
    assert found["generator"]["lagSeconds"]["max"] == pytest.approx(3, abs=0.03)


def test_an_open_loop_does_not_wait_for_answers() -> None:
    engine = SimulatedEngine(lambda *_: Reply(30.0))
    level = measure(engine, Load("constant", 5), Settings(duration_seconds=10))
    assert len(level.samples) == 50
    assert document(level)["seconds"] == pytest.approx(9.8 + 30)
    assert document(level)["dispatchDelaySeconds"]["max"] == pytest.approx(0, abs=1e-6)


def test_more_than_can_be_under_way_is_counted_as_not_sent() -> None:
    engine = SimulatedEngine(lambda *_: Reply(100.0))
    level = measure(engine, Load("constant", 100), Settings(requests=905))
    assert document(level)["errors"][0]["kind"] == "not_sent"
    assert document(level)["errors"][0]["count"] == 5


def test_arrivals_are_even_or_of_a_poisson_process_and_repeat_with_the_seed() -> None:
    even = list(arrivals(Load("constant", 4), Settings(duration_seconds=2)))
    assert even == [number / 4 for number in range(8)]
    chance = list(arrivals(Load("poisson", 4), Settings(requests=4000)))
    assert chance == list(arrivals(Load("poisson", 4), Settings(requests=4000)))
    assert chance != list(arrivals(Load("poisson", 4), Settings(requests=4000, seed=2)))
    gaps = [later - earlier for earlier, later in pairwise(chance)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.25, rel=0.05)
    # Of an exponential distribution, the standard deviation is the mean.
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.07)


def test_a_closed_loop_keeps_so_many_under_way_and_no_more() -> None:
    running = most = 0

    def answer(number: int, _: dict[str, Any]) -> Reply:
        return Reply(1.0, tokens=1)

    engine = SimulatedEngine(answer)
    level = measure(engine, Load("closed", 3), Settings(requests=30))
    events = sorted([(s.began_at, 1) for s in level.samples] + [(s.ended_at, -1) for s in level.samples])
    for _, step in sorted(events):
        running += step
        most = max(most, running)
    assert most == 3
    assert document(level)["seconds"] == pytest.approx(10)


def test_every_request_is_another_and_the_instructions_are_shared() -> None:
    engine = SimulatedEngine()
    measure(engine, Load("closed", 2), Settings(requests=40))
    questions = [body["messages"][-1]["content"] for body in engine.asked]
    assert len(set(questions)) == 40
    assert len({body["messages"][0]["content"] for body in engine.asked}) == 4
    assert engine.asked[0]["max_tokens"] == 64
    assert engine.asked[0]["temperature"] == 0
    assert engine.asked[0]["stream_options"] == {"include_usage": True}


FAILURES = {
    "http_503": Reply(status=503),
    "broke_off": Reply(whole=False),
    "engine": Reply(error="out of memory"),
    "empty": Reply(tokens=0),
    "timeout": Reply(ttft_seconds=100.0),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_counted_by_its_kind_and_kept_out_of_the_latencies(kind: str) -> None:
    engine = SimulatedEngine(lambda number, _: FAILURES[kind] if number % 5 == 4 else Reply(0.1))
    found = document(measure(engine, Load("closed", 1), Settings(requests=20, timeout_seconds=5)))
    assert found["requests"] == {"sent": 20, "good": 16, "failed": 4}
    assert [(error["kind"], error["count"]) for error in found["errors"]] == [(kind, 4)]
    assert found["latency"]["ttftSeconds"]["max"] == pytest.approx(0.1)
    assert found["status"] == "complete"


def test_a_server_that_is_gone_ends_the_level_and_what_was_measured_is_kept() -> None:
    engine = SimulatedEngine(lambda number, _: Reply(0.1) if number < 37 else None)
    level = measure(engine, Load("closed", 2), Settings(requests=1000))
    found = document(level)
    assert found["requests"]["good"] == 37
    assert found["requests"]["failed"] < 13
    assert found["status"] == "partial"
    assert "given up after" in found["problem"]


def test_a_limit_on_the_rate_is_no_dead_server() -> None:
    engine = SimulatedEngine(lambda number, _: Reply(0.1) if number < 5 else Reply(status=429))
    found = document(measure(engine, Load("closed", 1), Settings(requests=60)))
    assert found["requests"] == {"sent": 60, "good": 5, "failed": 55}
    assert found["status"] == "complete"


def test_without_counts_from_the_engine_none_are_made_up() -> None:
    engine = SimulatedEngine(lambda *_: Reply(0.1, 0.01, usage=False))
    found = document(measure(engine, Load("closed", 1), Settings(requests=10)))
    assert found["tokens"]["repliesWithoutCount"] == 10
    assert found["latency"]["itlSeconds"] is None
    assert found["throughput"]["outputTokensPerSecond"] is None
    assert found["money"]["usdPerMillionOutputTokens"] is None
    assert found["latency"]["ttftSeconds"]["p50"]["value"] == pytest.approx(0.1)


def test_ollamas_own_account_is_reported() -> None:
    engine = SimulatedEngine(lambda *_: Reply(0.1, 0.01, tokens=20, prompt_tokens=50))
    level = measure(engine, Load("closed", 1), Settings(requests=3), dialect="ollama")
    found = document(level)
    assert found["engine"] == {"prefillTokensPerSecond": 100, "decodeTokensPerSecond": 10}
    assert level.samples[0].load_seconds == 1.5
    assert engine.asked[0]["options"] == {"num_predict": 64, "temperature": 0, "seed": 1}
