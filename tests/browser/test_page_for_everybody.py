"""The page for those who use a keyboard, a screen reader, a phone, or the dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fleet_spec.keys import hash_of, new_key
from tests.browser.browsing import browsing, live, picture
from tests.unit.router.rig import Rig, Talk, contract, eventually, openai_whole, running

pytestmark = [pytest.mark.runtime, pytest.mark.slow]


async def answers(talk: Talk) -> None:
    await talk.reply(openai_whole())


@asynccontextmanager
async def busy_fleet(tmp_path: Path) -> AsyncIterator[Rig]:
    """Something of everything that the page can show: A/B tests, spend, a server that is down, long names."""
    async with running(tmp_path, answers, answers) as rig:
        first, second = ({"url": engine.url} for engine in rig.engines)
        price = {"inputUsdPerMillion": 1000.0, "outputUsdPerMillion": 2000.0}
        models = {
            "a-model-with-a-name-that-is-rather-long-for-a-phone": {
                "endpoints": [first, {"url": "http://127.0.0.1:9"}],
                "price": price,
            },
            "b": {"endpoints": [second], "price": price},
        }
        aliases = {"default": dict.fromkeys(models, 1.0), "single": {"b": 1.0}}
        rig.write_contract({**contract(models, aliases), "budget": {"monthlyUsd": 1.0}})
        await eventually(lambda: "default" in rig.router.fleet.aliases)
        for name in ("default", "b", "none"):
            for _ in range(4):
                await rig.completion(model=name)
        yield rig


async def demand_accessible(page: Page) -> None:
    """axe finds nothing to object to."""
    await page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]]
    assert told == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(tmp_path: Path, scheme: Any) -> None:
    # axe puts styles of its own into the page, which the page's policy would not let it.
    async with busy_fleet(tmp_path) as rig, browsing(rig, color_scheme=scheme, bypass_csp=True) as page:
        await live(page)
        await expect(page.locator("#spend")).to_contain_text("anonymous")
        await expect(page.locator("#problems")).to_contain_text("is down")
        await demand_accessible(page)
        await picture(page, scheme)
        await page.get_by_role("button", name="Change weights").first.click()
        await demand_accessible(page)


async def test_axe_finds_nothing_before_the_sign_in(tmp_path: Path) -> None:
    data = {**contract({"m": {}}), "keys": {"k": {"hash": hash_of(new_key())}}}
    async with running(tmp_path, data=data) as rig, browsing(rig, bypass_csp=True) as page:
        await page.locator("#sign-in").wait_for()
        await expect(page.get_by_label("Key", exact=True)).to_be_focused()
        await demand_accessible(page)


async def test_nothing_is_wider_than_a_phone(tmp_path: Path) -> None:
    async with (
        busy_fleet(tmp_path) as rig,
        browsing(rig, width=360, height=740, has_touch=True, bypass_csp=True) as page,
    ):
        await live(page)
        await expect(page.locator("#spend")).to_contain_text("anonymous")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await picture(page, "phone")
        await page.get_by_role("button", name="Drain").first.click()
        box = await page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        await demand_accessible(page)


async def test_the_keyboard_reaches_everything_and_the_focus_is_seen(tmp_path: Path) -> None:
    async with busy_fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        await expect(page.locator("#spend")).to_contain_text("anonymous")
        await page.evaluate("document.activeElement.blur()")
        names: list[str] = []
        for _ in range(80):
            await page.keyboard.press("Tab")
            name, seen = await page.evaluate(
                """() => { const on = document.activeElement;
                     return [on.id || on.getAttribute('aria-label') || on.textContent.trim().slice(0, 40),
                             getComputedStyle(on).outlineStyle !== 'none' || on === document.body]; }"""
            )
            assert seen, name
            names.append(name)
            if name == "Audit log":
                break
        assert names[0] == "Skip to content"
        for name in (
            "Table of models",
            "pause",
            "model",
            "prompt",
            "send",
            "clear",
            "Spend by tier this month",
            "Audit log",
        ):
            assert name in names, names
        assert any(name.startswith("Drain http") for name in names)


async def test_a_dialog_keeps_the_focus_and_gives_it_back(tmp_path: Path) -> None:
    async with busy_fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        button = page.get_by_role("button", name=f"Drain {rig.engines[1].url}")
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()  # the harmless choice
        for _ in range(5):
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()


async def test_news_do_not_take_the_focus(tmp_path: Path) -> None:
    async with busy_fleet(tmp_path) as rig, browsing(rig) as page:
        await live(page)
        button = page.get_by_role("button", name=f"Drain {rig.engines[1].url}")
        await button.focus()
        for number in range(3):
            await rig.completion(model="b")
            await expect(page.locator("#figures dl").first).to_contain_text(str(9 + number))
        await expect(button).to_be_focused()
