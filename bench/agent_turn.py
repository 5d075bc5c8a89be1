"""What a turn of an agent costs without the model: beside bare pydantic-ai and openai-agents, same scripted server.

    python bench/agent_turn.py [--turns 200] [--rounds 5]

A turn is two requests: the model calls one tool, gets its result, and answers. The server answers at once, in a
process of its own. The three take turns, round by round, so that what else the machine does falls on all of them.
Printed are the medians of the rounds, by the clock and of the client's CPU, and how they stand to bare pydantic-ai's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from agent_runtime.agents import Agent
from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract

PROMPT = "What is 2 plus 3?"
ANSWER = "It is 5."


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


async def milliseconds(turn: Turn, turns: int) -> tuple[float, float]:
    """For one turn: by the clock, and of this process's CPU."""
    started, cpu_started = time.perf_counter(), time.process_time()
    for _ in range(turns):
        assert await turn() == ANSWER
    cpu = time.process_time() - cpu_started
    return (time.perf_counter() - started) * 1000 / turns, cpu * 1000 / turns


async def measure(url: str, turns: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    peers = {"pydantic-ai": pydantic_ai(url), "openai-agents": openai_agents(url), "paddock": paddock(url)}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for turn in peers.values():
        await milliseconds(turn, 10)  # warm: imports, connections, schemas
    for _ in range(rounds):
        for name, turn in peers.items():
            measured[name].append(await milliseconds(turn, turns))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        measured = asyncio.run(measure(f"http://127.0.0.1:{here.recv()}", options.turns, options.rounds))
    finally:
        server.terminate()
        server.join()
    bare = _medians(measured["pydantic-ai"])
    print("| agent | ms for a turn | least to most | to pydantic-ai | CPU ms for a turn | to pydantic-ai |")
    print("|---|---|---|---|---|---|")
    for name, times in measured.items():
        clock, cpu = _medians(times)
        walls = [wall for wall, _ in times]
        spread = f"{min(walls):.2f} to {max(walls):.2f}"
        print(f"| {name} | {clock:.2f} | {spread} | {clock / bare[0]:.2f} | {cpu:.2f} | {cpu / bare[1]:.2f} |")


def _medians(times: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)


if __name__ == "__main__":
    main()
