"""Reports in a real browser: nothing fails, nothing is fetched, nothing runs, and axe has nothing to object to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.browsing import PATIENCE_MS, picture
from tests.browser.test_page_for_everybody import demand_accessible
from tests.programs import chromium_binary
from tests.unit.reports.samples import HOSTILE, ORDINARY, REPORTS

pytestmark = pytest.mark.slow

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
}


class Watched:
    """A page, and everything that must not happen in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.refused: dict[str, str | None] = {}
        page.on("console", lambda said: self.faults.append(said.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", lambda request: self.refused.update({request.url: request.failure}))


@pytest.mark.parametrize("look", LOOKS)
async def test_every_report_is_quiet_whole_and_accessible(tmp_path: Path, look: str) -> None:
    async with async_playwright() as playwright:
        # Without its own sandbox, which a container's root may not have: it opens files of this test alone.
        browser = await playwright.chromium.launch(executable_path=chromium_binary(), args=["--no-sandbox"])
        try:
            for kind, made in REPORTS.items():
                for name in (ORDINARY, HOSTILE):
                    file = tmp_path / f"{kind}.html"
                    file.write_text(made(name), encoding="utf-8")
                    # axe puts styles of its own into the page, which the report's policy would not let it.
                    context = await browser.new_context(bypass_csp=True, **LOOKS[look])
                    watched = Watched(await context.new_page())
                    watched.page.set_default_timeout(PATIENCE_MS)
                    await watched.page.goto(file.as_uri())
                    assert watched.faults == [], kind
                    assert watched.asked == [file.as_uri()], kind
                    assert await watched.page.evaluate("document.scripts.length + document.images.length") == 0
                    width = LOOKS[look]["viewport"]["width"]
                    assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width, kind
                    if name == ORDINARY:
                        await picture(watched.page, f"report-{kind}-{look}")
                        await demand_accessible(watched.page)
                    await context.close()
        finally:
            await browser.close()


async def test_the_policy_lets_the_reports_own_style_in_and_nothing_else(tmp_path: Path) -> None:
    """Were there ever a hole in the escaping, nothing that came through it could run, look, or call home."""
    smuggled = (
        "<style>h1 { color: rgb(1, 2, 3) }</style><script>document.title = 'taken'</script>"
        "<img src='http://127.0.0.1:9/x.png'></main>"
    )
    file = tmp_path / "report.html"
    file.write_text(REPORTS["plan"](ORDINARY).replace("</main>", smuggled), encoding="utf-8")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_binary(), args=["--no-sandbox"])
        try:
            watched = Watched(await browser.new_page(color_scheme="light"))
            await watched.page.goto(file.as_uri())
            assert await watched.page.title() == f"Plan of stack {ORDINARY}"
            styled = "getComputedStyle(document.querySelector('{}')).{}"
            assert await watched.page.evaluate(styled.format("h1", "color")) == "rgb(23, 32, 44)"
            assert await watched.page.evaluate(styled.format(".card", "borderTopStyle")) == "solid"
            assert watched.refused == {"http://127.0.0.1:9/x.png": "csp"}
            assert len(watched.faults) == 3  # each attempt is refused, and said
        finally:
            await browser.close()
