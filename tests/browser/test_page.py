"""The router's page in a real Chromium: what it shows, live, and what an administrator does there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.browser.browsing import browsing, live, picture, sign_in
from tests.unit.router.rig import (
    Rig,
    Talk,
    contract,
    eventually,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    running,
    sse,
)

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

PRICE = {"inputUsdPerMillion": 1000.0, "outputUsdPerMillion": 2000.0}
PROMPT = "a prompt that the page must not show to others"


async def answers(talk: Talk) -> None:
    if talk.asked.json.get("stream"):
        await talk.stream(
            sse(openai_chunk(content="Hi "), openai_chunk(content="there"), openai_end(), openai_usage(), b"[DONE]")
        )
    else:
        await talk.reply(openai_whole())


@asynccontextmanager
async def fleet(tmp_path: Path, *, keys: dict[str, Any] | None = None, script: Any = answers) -> AsyncIterator[Rig]:
    """Two models of two and one endpoints, an alias of both, a budget and a ledger."""
    async with running(
        tmp_path, script, script, script, settings=Settings(tmp_path / "fleet.json", data=tmp_path / "data")
    ) as rig:
        urls = [{"url": engine.url} for engine in rig.engines]
        data = contract(
            {"large": {"endpoints": urls[:2], "price": PRICE}, "small": {"endpoints": urls[2:], "price": PRICE}},
            {"default": {"large": 3.0, "small": 1.0}},
        )
        rig.write_contract({**data, "budget": {"monthlyUsd": 10.0}, "keys": keys or {}})
        await eventually(lambda: "default" in rig.router.fleet.aliases)
        yield rig


def row(page: Page, url: str) -> Any:
    return page.locator("#models li").filter(has_text=url)


async def test_it_shows_models_requests_and_money_and_follows_them(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        await expect(page.locator("#stack")).to_have_text("test · local")
        await expect(page.locator("#problems")).to_contain_text("All is well")
        await expect(page.locator("#no-decisions")).to_be_visible()
        for _ in range(3):
            await rig.completion(model="large", messages=[{"role": "user", "content": PROMPT}])
        await rig.completion(model="none")
        decisions = page.locator("#decisions tr")
        await expect(decisions).to_have_count(4)
        await expect(decisions.first).to_contain_text("404")
        await expect(decisions.nth(1)).to_contain_text("large")
        await expect(decisions.nth(1)).to_contain_text("7 + 2")
        await expect(page.locator("#figures")).to_contain_text("requests a minute3")
        await expect(page.locator("#spend")).to_contain_text("large")
        await expect(page.locator("#budget")).to_contain_text("of $10.00")
        await rig.completion(model="large", temperature=0)
        await rig.completion(model="large", temperature=0)
        await expect(page.locator("#cache")).to_contain_text("1 of 2 (50 %)")
        assert PROMPT not in await page.content()
        await page.get_by_role("button", name="Pause").click()
        await rig.completion(model="small")
        await expect(page.locator("#models tr.model").nth(1)).to_contain_text("1")
        await expect(decisions).to_have_count(6)
        await page.get_by_role("button", name="Pause").click()
        await expect(decisions).to_have_count(7)
        await picture(page, "overview")


async def test_a_broken_server_is_shown_with_what_to_do_and_gone_when_it_is_well(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        ill = rig.engines[2]
        ill.healthy = False
        problems = page.locator("#problems")
        await expect(problems).to_contain_text(f"{ill.url} of model small is down")
        await expect(problems).to_contain_text(
            "no endpoint of model small takes requests, and its requests are refused"
        )
        await expect(problems).to_contain_text("paddock up --stack test")
        await expect(row(page, ill.url)).to_contain_text("down")
        await expect(page).to_have_title("(1) Paddock test")
        await picture(page, "broken")
        ill.healthy = True
        await expect(problems).to_contain_text("All is well")
        await expect(page).to_have_title("Paddock test")


async def test_it_says_when_the_router_is_gone_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        router, link = rig.router, page.locator("#link")
        router.draining = True  # it refuses those who watch, as a router that ends
        router.page.live.close()
        await expect(link).to_contain_text("Not connected, trying again. What you see is from")
        await expect(page.locator("#models tr.model")).to_have_count(2)
        await picture(page, "lost")
        router.draining = False
        await expect(link).to_have_text("Live")


async def test_it_says_when_the_router_has_fallen_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        monkeypatch.setattr(rig.router.page, "tick", lambda now: None)
        await expect(page.locator("#link")).to_contain_text("What you see is from", timeout=30_000)
        monkeypatch.undo()
        await expect(page.locator("#link")).to_have_text("Live")


async def test_beyond_loopback_it_asks_for_a_key_and_shows_what_the_key_may_see(tmp_path: Path) -> None:
    all_scopes, asking, seeing = new_key(), new_key(), new_key()
    keys = {
        "ops": {"hash": hash_of(all_scopes), "scopes": ["chat", "metrics", "admin"]},
        "app": {"hash": hash_of(asking)},
        "eyes": {"hash": hash_of(seeing), "scopes": ["metrics"]},
    }
    async with fleet(tmp_path, keys=keys) as rig, browsing(rig) as page:
        form = page.locator("#sign-in")
        await form.wait_for()
        assert await page.locator("#app").is_hidden()
        await picture(page, "sign-in")
        await sign_in(page, "no-key-at-all")
        await expect(form).to_contain_text("not known here")

        await sign_in(page, all_scopes)
        await live(page)
        await expect(page.locator("#who")).to_contain_text("ops")
        await page.reload()
        await live(page)
        assert (
            await page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href") == f"{{}}{page.url}"
        )
        assert all_scopes not in await page.content()
        await page.get_by_role("button", name="Sign out").click()
        await form.wait_for()
        assert await page.evaluate("sessionStorage.length") == 0

        await sign_in(page, seeing)
        await live(page)
        assert await page.get_by_role("button", name="Drain").count() == 0
        assert await page.locator("#changes").is_hidden()
        assert await page.locator("#playground").is_hidden()
        await page.get_by_role("button", name="Sign out").click()

        await sign_in(page, asking)
        await expect(page.locator("#limited")).to_contain_text("no scope 'metrics'")
        assert await page.locator("#fleet").is_hidden()
        await page.get_by_label("Message").fill("Hello")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#talk")).to_contain_text("Hi there")
        await picture(page, "playground-only")


async def test_a_key_that_is_revoked_sees_no_more(tmp_path: Path) -> None:
    key = new_key()
    async with (
        fleet(tmp_path, keys={"eyes": {"hash": hash_of(key), "scopes": ["metrics"]}}) as rig,
        browsing(rig) as page,
    ):
        await sign_in(page, key)
        await live(page)
        data = json.loads(rig.contract_path.read_text())
        rig.write_contract({**data, "keys": {"other": {"hash": hash_of(new_key())}}})
        await expect(page.locator("#sign-in")).to_contain_text("not known here")
        assert rig.engines[0].url not in await page.content()  # nor does what it saw stay behind
        assert "default" not in await page.content()


async def test_draining_asks_first_and_is_written_down(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        url = rig.engines[2].url
        dialog = page.get_by_role("dialog")
        await page.get_by_role("button", name=f"Drain {url}").click()
        await expect(dialog).to_contain_text("No other endpoint of small takes requests")
        await expect(dialog).to_contain_text("It outlives a restart of this router.")
        await picture(page, "drain")
        await dialog.get_by_role("button", name="Cancel").click()
        assert (await rig.completion(model="small")).status_code == 200

        await page.get_by_role("button", name=f"Drain {url}").click()
        await dialog.get_by_role("button", name="Drain").click()
        await expect(dialog).to_be_hidden()
        await expect(row(page, url)).to_contain_text("drained")
        await expect(page.locator("#overrides")).to_contain_text(f"{url} is drained")
        await expect(page.locator("#audit tr")).to_contain_text(["anonymousdrain"])
        assert (await rig.completion(model="small")).status_code == 503

        await page.get_by_role("button", name=f"Put back {url}").click()
        await dialog.get_by_role("button", name="Put back").click()
        await expect(row(page, url)).to_contain_text("up")
        await expect(page.locator("#audit tr")).to_have_count(2)
        assert (await rig.completion(model="small")).status_code == 200


async def test_arms_are_swapped_and_given_back_to_the_stack(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        dialog = page.get_by_role("dialog")
        await page.get_by_role("button", name="Change weights").click()
        await dialog.get_by_role("button", name="Swap the two").click()
        await expect(dialog).to_contain_text("Then: large 25 %, small 75 %")
        await picture(page, "weights")
        await dialog.get_by_role("button", name="All to small").click()
        await dialog.get_by_role("button", name="Change weights").click()
        await expect(dialog).to_be_hidden()
        await eventually(lambda: rig.router.fleet.aliases["default"] == {"large": 0.0, "small": 1.0})
        await expect(page.locator("#aliases")).to_contain_text("Weights set by hand by anonymous")
        await expect(page.locator("#overrides")).to_contain_text("instead of large 75 %, small 25 %")
        await page.get_by_role("button", name="Change weights").click()
        await dialog.get_by_role("button", name="As the stack says").click()
        await dialog.get_by_role("button", name="Change weights").click()
        await expect(page.locator("#overrides")).to_contain_text("None")
        assert rig.router.fleet.aliases["default"] == {"large": 3.0, "small": 1.0}


async def test_a_change_that_is_refused_is_told_in_the_dialog(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        (tmp_path / "data" / "audit.jsonl").mkdir()
        await page.get_by_role("button", name=f"Drain {rig.engines[0].url}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("cannot be written")


async def test_the_playground_streams_stops_and_says_what_the_router_decided(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    gone: list[bool] = []

    async def slowly(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(openai_chunk(content="One, ")))
        waits = {asyncio.ensure_future(go_on.wait()), asyncio.ensure_future(talk.client_left.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        gone.append(talk.client_left.is_set())
        if not gone[-1]:
            await talk.chunk(sse(openai_chunk(content="two."), openai_end(), openai_usage(), b"[DONE]"))
            await talk.end()

    async with fleet(tmp_path, script=slowly) as rig, browsing(rig) as page:
        await live(page)
        talk = page.locator("#talk")
        await page.get_by_label("Model", exact=True).select_option("large")
        await page.get_by_label("Message").fill("Count to two")
        await page.get_by_role("button", name="Send").click()
        await expect(talk).to_contain_text("One,")
        assert "two." not in await talk.inner_text()
        go_on.set()
        await expect(talk).to_contain_text("One, two.")
        facts = page.locator("#facts")
        for fact in ("Modellarge", "Tierlocal", "Why therethe only tier", "Tokens7 + 2", "Cost$0.01"):
            await expect(facts).to_contain_text(fact)
        await picture(page, "playground")
        go_on.clear()
        await page.get_by_label("Message").fill("And on")
        await page.get_by_role("button", name="Send").click()
        await expect(talk.locator(".said")).to_have_count(4)
        await expect(talk.locator(".said").last).to_contain_text("One,")
        await page.get_by_role("button", name="Stop").click()
        await expect(talk).to_contain_text("Stopped.")
        await eventually(lambda: gone == [False, True])
        await page.get_by_role("button", name="New conversation").click()
        await expect(talk).to_have_text("")


async def test_an_answer_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    async with fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        for engine in rig.engines:
            await engine.stop()
        await page.get_by_label("Message").fill("Hello")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#talk")).to_contain_text("Not answered: ")
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
