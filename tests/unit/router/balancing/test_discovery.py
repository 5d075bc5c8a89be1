"""A name and the addresses that it stands for, without a network."""

from __future__ import annotations

import asyncio
import socket

import pytest

from agent_runtime.router.balancing import discovery
from agent_runtime.router.balancing.discovery import HostName, Resolver
from tests.unit.router.rig import eventually

pytestmark = pytest.mark.unit


class Names:
    """A name service that says what a test tells it to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: tuple[str, ...] | OSError = ()
        self.asked = 0
        monkeypatch.setattr(discovery, "lookup", self.lookup)

    async def lookup(self, host: str, port: int) -> tuple[str, ...]:
        self.asked += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


async def test_a_name_is_what_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("10.0.0.1", "fd00::1")
    name = HostName("model.fleet", 8080)
    assert name.addresses is None
    assert await name.resolve()
    assert name.addresses == ("10.0.0.1", "fd00::1")
    assert not await name.resolve()


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_a_name_that_does_not_exist_has_no_addresses(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    names = Names(monkeypatch)
    names.answer = ("10.0.0.1",)
    name = HostName("model.fleet", 8080)
    await name.resolve()
    names.answer = socket.gaierror(code, "no such name")
    assert await name.resolve()
    assert (name.addresses, name.problem) == ((), "")


async def test_a_look_up_that_fails_keeps_the_last_addresses_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("10.0.0.1",)
    name = HostName("model.fleet", 8080)
    await name.resolve()
    names.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert await name.resolve()
    assert name.addresses == ("10.0.0.1",)
    assert name.problem == "model.fleet cannot be looked up: Temporary failure in name resolution"
    assert not await name.resolve()
    names.answer = ("10.0.0.1",)
    assert await name.resolve()
    assert name.problem == ""


async def test_a_look_up_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> tuple[str, ...]:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(discovery, "lookup", never)
    monkeypatch.setattr(discovery, "_LOOKUP_SECONDS", 0.05)
    name = HostName("model.fleet", 8080)
    assert await name.resolve()
    assert name.addresses is None
    assert name.problem == "model.fleet was not looked up in 0.05 s"


async def test_names_are_looked_up_when_they_are_due_and_soon_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("10.0.0.1",)
    name, resolver = HostName("model.fleet", 8080), Resolver()
    loop = asyncio.get_running_loop()
    assert resolver.tick([name], loop.time()) == []
    await eventually(lambda: name.addresses)
    assert resolver.tick([name], loop.time()) == [name]
    assert resolver.tick([name], loop.time()) == []
    assert names.asked == 1
    looked_up = name.due - 5.0
    name.look_again(looked_up)
    assert name.due == looked_up + 0.5
    resolver.tick([name], name.due)
    await eventually(lambda: names.asked == 2)
    await resolver.stop()


async def test_the_name_of_this_machine_is_found() -> None:
    assert set(await discovery.lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(socket.gaierror):
        await discovery.lookup("there-is-no-such-host.invalid", 80)
