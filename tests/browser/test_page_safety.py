"""The page in a real Chromium before models, names and prompts that try to become part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.browsing import browsing, live
from tests.unit.router.rig import Talk, contract, openai_chunk, openai_end, openai_usage, openai_whole, running, sse

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

ATTACKS = (
    "<img src=x onerror='window.taken=1'>",
    "<script>window.taken=1</script>",
    "</textarea><svg/onload=window.taken=1>",
    "javascript:window.taken=1",
    "[a](javascript:window.taken=1)",
    "{{constructor.constructor('window.taken=1')()}}",
)


async def evil(talk: Talk) -> None:
    if talk.asked.json.get("stream"):
        pieces = [openai_chunk(content=piece) for attack in ATTACKS for piece in (attack[:5], attack[5:] + "\n")]
        await talk.stream(sse(*pieces, openai_end(), openai_usage(), b"[DONE]"))
    else:
        await talk.reply(openai_whole("".join(ATTACKS)))


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_what_a_model_says_stays_text(tmp_path: Path, streamed: bool) -> None:
    async with running(tmp_path, evil) as rig, browsing(rig) as page:
        await live(page)
        await page.get_by_label("Stream").set_checked(streamed)
        await page.get_by_label("Message").fill(ATTACKS[0])
        await page.get_by_role("button", name="Send").click()
        for attack in ATTACKS:
            await expect(page.locator("#talk .model")).to_contain_text(attack)
        assert await page.locator("#talk img, #talk script, #talk svg, #talk a").count() == 0
        assert await page.evaluate("window.taken") is None


async def test_names_keys_paths_and_errors_stay_text(tmp_path: Path) -> None:
    name, alias = "m<img src=x onerror=window.taken=1>", "<script>window.taken=1</script>"
    async with running(tmp_path, evil) as rig:
        rig.write_contract(
            {
                **contract(
                    {name: {"endpoints": [{"url": "http://127.0.0.1:9"}], "model": ATTACKS[2]}, "n": {}},
                    {alias: {name: 1.0, "n": 1.0}},
                ),
                "stack": "<b onmouseover=window.taken=1>",
            }
        )
        async with browsing(rig) as page:
            await live(page)
            await expect(page.locator("#models")).to_contain_text(name)
            await expect(page.locator("#aliases")).to_contain_text(alias)
            await rig.completion(model=name)
            await rig.completion(model=alias)
            await expect(page.locator("#decisions tr")).to_have_count(2)
            await expect(page.locator("#problems")).to_contain_text(name)
            await page.get_by_role("button", name="Change weights").click()
            await expect(page.get_by_role("dialog")).to_contain_text(alias)
            assert await page.locator("main img, main script, main b[onmouseover]").count() == 0
            assert await page.evaluate("window.taken") is None


async def test_no_other_page_may_frame_it_or_run_a_script_in_it(tmp_path: Path) -> None:
    async with running(tmp_path, evil) as rig, browsing(rig, attacked=True) as page:
        await live(page)
        refused = await page.evaluate(
            "try { document.body.innerHTML = '<p>x</p>'; 'taken' } catch (error) { error.name }"
        )
        assert refused == "TypeError"
        framed = await page.evaluate(
            """() => new Promise((done) => {
                 document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
                 const frame = document.createElement('iframe');
                 frame.src = '/';
                 document.body.append(frame);
               })"""
        )
        assert framed in ("frame-src", "default-src")
