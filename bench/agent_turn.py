"""What a turn of an agent costs without the model: beside bare pydantic-ai and openai-agents, same scripted server.

    python bench/agent_turn.py [--turns 20] [--rounds 40]

A turn is two requests: the model calls one tool, gets its result, and answers. The server answers at once, in a
process of its own. Counted is the client's CPU time, which other work on the machine disturbs far less than the clock.
The three take turns in short rounds, forwards and backwards, so that what changes meanwhile falls on all of them; each
round gives a ratio to bare pydantic-ai's of the same round. Printed are the ratios' median and its 95 % interval.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from agent_runtime.agents import Agent
from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract

PROMPT = "What is 2 plus 3?"
ANSWER = "It is 5."
BARE = "pydantic-ai"
RESAMPLES = 2000


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def serve(tell: Connection) -> None:
    """Answer every request at once: a call first, and text after a tool's result."""
    base = {"id": "c", "object": "chat.completion", "created": 1, "model": "assistant"}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
    replies = [
        json.dumps({**base, "usage": usage, "choices": [{"index": 0, "message": message, "finish_reason": finish}]})
        for message, finish in (
            ({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"),
            ({"role": "assistant", "content": ANSWER}, "stop"),
        )
    ]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().lower().split("\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
                body = json.loads(await reader.readexactly(length))
                data = replies[body["messages"][-1]["role"] == "tool"].encode()
                head_out = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(head_out.encode() + data)
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


Turn = Callable[[], Awaitable[str]]


def paddock(url: str) -> Turn:
    router = {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": url}
    model = {"model": "m", "engine": "openai", "contextLength": 8192, "capabilities": ["chat", "tools"]}
    document = {"version": 1, "stack": "b", "target": "local", "router": router, "models": {"assistant": model}}
    fleet = Fleet(FleetContract.from_mapping(document))
    agent: Agent[str] = Agent("bench", "Be brief.", model="assistant", fleet=fleet, tools=[add])

    async def turn() -> str:
        return (await agent.run(PROMPT)).output

    return turn


def pydantic_ai(url: str) -> Turn:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent as Bare
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    model = OpenAIChatModel("assistant", provider=OpenAIProvider(openai_client=client))
    agent = Bare(model, instructions="Be brief.", tools=[add], name="bench")

    async def turn() -> str:
        return (await agent.run(PROMPT)).output

    return turn


def openai_agents(url: str) -> Turn:
    import agents
    from openai import AsyncOpenAI

    agents.set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    model = agents.OpenAIChatCompletionsModel("assistant", client)
    agent = agents.Agent(name="bench", instructions="Be brief.", model=model, tools=[agents.function_tool(add)])

    async def turn() -> str:
        return (await agents.Runner.run(agent, PROMPT)).final_output

    return turn


async def cpu_milliseconds(turn: Turn, turns: int) -> float:
    """Of this process's CPU, for one turn."""
    started = time.process_time()
    for _ in range(turns):
        assert await turn() == ANSWER
    return (time.process_time() - started) * 1000 / turns


async def measure(url: str, turns: int, rounds: int) -> dict[str, list[float]]:
    peers = {BARE: pydantic_ai(url), "openai-agents": openai_agents(url), "paddock": paddock(url)}
    measured: dict[str, list[float]] = {name: [] for name in peers}
    for turn in peers.values():
        await cpu_milliseconds(turn, 20)  # warm: imports, connections, schemas
    gc.collect()
    gc.disable()  # whose turn it falls into is chance
    order = list(peers)
    for _ in range(rounds):
        for name in order:
            measured[name].append(await cpu_milliseconds(peers[name], turns))
            gc.collect()
        order.reverse()  # what drifts falls on each of a pair alike
    return measured


def interval(ratios: list[float]) -> tuple[float, float]:
    """The 95 % interval of a median, by bootstrap with a fixed seed."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        measured = asyncio.run(measure(f"http://127.0.0.1:{here.recv()}", options.turns, options.rounds))
    finally:
        server.terminate()
        server.join()
    print(f"{options.rounds} rounds of {options.turns} turns each; load {os.getloadavg()[0]:.0f} at the end\n")
    print("| agent | CPU ms for a turn | to pydantic-ai, median of pairs | 95 % interval |")
    print("|---|---|---|---|")
    for name, times in measured.items():
        ratios = [mine / bare for mine, bare in zip(times, measured[BARE], strict=True)]
        low, high = interval(ratios)
        print(
            f"| {name} | {statistics.median(times):.2f} | {statistics.median(ratios):.2f} | {low:.2f} to {high:.2f} |"
        )


if __name__ == "__main__":
    main()
