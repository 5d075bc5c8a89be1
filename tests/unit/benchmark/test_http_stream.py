"""The client that stamps streams, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agent_runtime.benchmark.http_stream import Exchange, StreamClient
from fleet_spec.errors import BadInputError
from tests.ports import free_port

pytestmark = pytest.mark.unit
Talk = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """A server whose connections, numbered from 0, are handled by ``talk``."""
    count = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        number, count = count, count + 1
        try:
            await talk(number, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def request(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    await reader.readexactly(2)
    return head


def ask(talk: Talk, times: int = 1, timeout_seconds: float = 30.0, path: str = "") -> list[Exchange]:
    async def work() -> list[Exchange]:
        async with server(talk) as url:
            client = StreamClient(f"{url}{path}", {"X-Said": "yes"}, timeout_seconds=timeout_seconds)
            found = [await client.post("/v1/x", b"{}") for _ in range(times)]
            client.close()
            return found

    return asyncio.run(work())


def test_a_connection_is_used_again() -> None:
    heads: list[tuple[int, str]] = []

    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((number, await request(reader)))
            writer.write(WHOLE)

    found = ask(talk, times=3, path="/base/")
    assert [exchange.body for exchange in found] == [b"hello"] * 3
    assert {number for number, _ in heads} == {0}
    assert heads[0][1].startswith("POST /base/v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "X-Said: yes" in heads[0][1]


def test_pieces_are_stamped_in_order_and_between_send_and_end() -> None:
    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"3\r\none\r\n", b"3\r\ntwo\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")

    (found,) = ask(talk)
    assert found.failure is None
    times = [found.sent_at, *(at for at, _ in found.pieces), found.ended_at]
    assert times == sorted(times)
    assert found.body == b"onetwo"


def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(WHOLE)
        if number == 0:
            await request(reader)  # takes the second request and goes away without a word

    found = ask(talk, times=2)
    assert [exchange.failure for exchange in found] == [None, None]
    assert found[1].body == b"hello"


def test_a_body_may_end_with_its_connection() -> None:
    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")

    (found,) = ask(talk)
    assert found.failure is None
    assert found.body == b"hello"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "broke_off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "broke_off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "broke_off"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "invalid"),
    ],
)
def test_what_goes_wrong_has_its_kind(answer: bytes, kind: str) -> None:
    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)

    (found,) = ask(talk)
    assert found.failure is not None
    assert found.failure.kind == kind
    assert found.ended_at >= found.sent_at


def test_a_server_that_never_answers_runs_into_the_timeout() -> None:
    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    (found,) = ask(talk, timeout_seconds=0.2)
    assert found.failure is not None
    assert found.failure.kind == "timeout"


def test_nobody_there() -> None:
    client = StreamClient(f"http://127.0.0.1:{free_port()}", {}, timeout_seconds=5)
    found = asyncio.run(client.post("/v1/x", b"{}"))
    assert found.failure is not None
    assert (found.failure.kind, found.failure.detail) == ("connect", "connection refused")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInputError, match="is no address"):
        StreamClient(url, {}, timeout_seconds=5)
