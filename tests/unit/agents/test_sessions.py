"""Conversations are remembered in whole turns, one run at a time, and what cannot be read is kept aside."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from agent_runtime.agents import Session, SessionStore
from agent_runtime.agents.errors import SessionCorruptError
from agent_runtime.agents.history import newest
from fleet_spec.errors import BadInputError

ROOT = Path(__file__).parents[3]


def said(number: int, calls: int = 0) -> list[ModelMessage]:
    """A turn: a prompt, calls with their results, an answer."""
    turn: list[ModelMessage] = [ModelRequest([UserPromptPart(f"question {number}")], instructions="Be brief.")]
    for call in range(calls):
        turn.append(ModelResponse([ToolCallPart("t", {}, tool_call_id=f"{number}-{call}")]))
        turn.append(ModelRequest([ToolReturnPart("t", "r", tool_call_id=f"{number}-{call}")]))
    return [*turn, ModelResponse([TextPart(f"answer {number}")])]


def texts(messages: list[ModelMessage]) -> list[str]:
    return [str(getattr(part, "content", "")) for message in messages for part in message.parts]


async def talk(session: Session, *turns: list[ModelMessage]) -> None:
    for new in turns:
        async with session.turn() as turn:
            turn.add(new)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_twenty_messages_are_kept_and_ten_are_sent(kind: str, tmp_path: Path) -> None:
    async def work() -> None:
        session = Session() if kind == "memory" else SessionStore(tmp_path / "s.sqlite").session("a")
        await talk(session, *(said(number) for number in range(15)))
        remembered = await session.messages()
        assert (len(remembered), texts(remembered)[0]) == (20, "question 5")
        async with session.turn() as turn:
            assert (len(turn.sent), texts(turn.sent)[0]) == (10, "question 10")

    asyncio.run(work())


def test_a_session_on_disk_outlives_its_store_and_keeps_no_instructions(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    asyncio.run(talk(SessionStore(path).session("a"), said(1, calls=1)))
    again = SessionStore(path)
    remembered = asyncio.run(again.session("a").messages())
    assert texts(remembered) == ["question 1", "", "r", "answer 1"]
    assert not any(getattr(message, "instructions", None) for message in remembered)
    assert again.session_ids() == ["a"]
    asyncio.run(again.session("a").clear())
    assert again.session_ids() == []
    assert path.stat().st_mode & 0o077 == 0


def test_a_run_that_failed_leaves_the_session_as_it_was() -> None:
    async def work() -> None:
        session = Session()
        await talk(session, said(1))
        with pytest.raises(RuntimeError):
            async with session.turn():
                raise RuntimeError
        assert texts(await session.messages()) == ["question 1", "answer 1"]
        await talk(session, said(2))

    asyncio.run(work())


def test_a_turn_is_never_cut_between_a_call_and_its_result() -> None:
    history = [*said(1, calls=2), *said(2, calls=2)]
    for most in range(13):
        kept = newest(history, most)
        asked = [p.tool_call_id for m in kept for p in m.parts if isinstance(p, ToolCallPart)]
        answered = [p.tool_call_id for m in kept for p in m.parts if isinstance(p, ToolReturnPart)]
        assert asked == answered
        assert not kept or texts(kept)[0].startswith("question")


def test_a_turn_longer_than_the_limit_keeps_its_prompt_and_its_end() -> None:
    kept = newest(said(1, calls=20), 6)
    assert (len(kept), texts(kept)[0], texts(kept)[-1]) == (6, "question 1", "answer 1")


def test_two_runs_in_one_session_never_overlap() -> None:
    async def work() -> None:
        session, inside, most = Session(), 0, 0

        async def one(number: int) -> None:
            nonlocal inside, most
            async with session.turn() as turn:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                turn.add(said(number))
                inside -= 1

        await asyncio.gather(*(one(number) for number in range(8)))
        assert most == 1
        assert len(await session.messages()) == 16

    asyncio.run(work())


WRITER = """
import asyncio, sys
from pathlib import Path
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from agent_runtime.agents import SessionStore
async def main():
    session = SessionStore(Path(sys.argv[1])).session("shared", kept_messages=200)
    for number in range(5):
        async with session.turn() as turn:
            await asyncio.sleep(0.01)
            turn.add([ModelRequest([UserPromptPart(f"{sys.argv[2]}{number}")]), ModelResponse([TextPart("a")])])
asyncio.run(main())
"""


def test_several_processes_share_a_session_without_losing_a_turn(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    prompts = sorted(text for text in texts(SessionStore(path).load("shared")) if text != "a")
    assert prompts == [f"{name}{number}" for name in ("a", "b") for number in range(5)]


def test_a_store_that_is_no_database_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database, but somebody's notes" * 200)
    with pytest.raises(SessionCorruptError, match=r"kept as .*unreadable-") as refused:
        SessionStore(path)
    aside = next(file for file in tmp_path.iterdir() if "unreadable-" in file.name)
    assert str(aside) in str(refused.value)
    assert aside.read_bytes().startswith(b"this is no database")
    assert SessionStore(path).session_ids() == []


def test_a_session_that_cannot_be_read_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    store = SessionStore(path)
    asyncio.run(talk(store.session("a"), said(1)))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE sessions SET messages = '[{\"kind\": 3'")
    database.close()
    with pytest.raises(SessionCorruptError, match="session 'a'"):
        asyncio.run(store.session("a").messages())
    assert [name.startswith("a (unreadable") for name in store.session_ids()] == [True]
    asyncio.run(talk(store.session("a"), said(2)))
    assert len(store.session_ids()) == 2


def test_sessions_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="keep 1 messages"):
        Session(kept_messages=1, sent_messages=0)
    with pytest.raises(BadInputError, match="send 30"):
        Session(sent_messages=30)
    with pytest.raises(BadInputError, match="needs a name"):
        SessionStore(tmp_path / "s.sqlite").session(" ")
