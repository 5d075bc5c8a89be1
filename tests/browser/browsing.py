"""A page in a real Chromium, which tells of every script error and of everything that its policy has blocked."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright, expect

from tests.programs import chromium_binary
from tests.unit.router.rig import Rig

PATIENCE_MS = 15_000


@asynccontextmanager
async def browsing(
    rig: Rig, *, width: int = 1280, height: int = 900, attacked: bool = False, **context: Any
) -> AsyncIterator[Page]:
    """The router's page. It fails where a script of the page does, or, unless ``attacked``, its policy had to act."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        # Without its own sandbox, which a container's root may not have: it opens this machine's own page alone.
        browser = await playwright.chromium.launch(executable_path=chromium_binary(), args=["--no-sandbox"])
        try:
            made = await browser.new_context(viewport={"width": width, "height": height}, **context)
            page = await made.new_page()
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
            page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
            await page.goto(f"http://127.0.0.1:{rig.port}/")
            yield page
        finally:
            await browser.close()
    assert attacked or faults == []


async def sign_in(page: Page, key: str) -> None:
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def live(page: Page) -> None:
    """Wait until the page shows the fleet."""
    await page.get_by_role("status").filter(has_text="Live").wait_for()
    await page.locator("#models tr").first.wait_for()


async def picture(page: Page, name: str) -> None:
    """Keep a picture of the page, where PADDOCK_SCREENSHOTS names a directory for them."""
    directory = os.environ.get("PADDOCK_SCREENSHOTS")
    if directory:
        await page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)
