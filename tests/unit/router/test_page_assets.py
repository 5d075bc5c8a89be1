"""The page's files, as a browser and as a client of Ollama's gets them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from agent_runtime.router.page import files
from agent_runtime.router.page.files import ASSET_PATHS
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import Talk, contract, running

pytestmark = pytest.mark.unit

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILES = Path(files.__file__).parent / "assets"


async def never(talk: Talk) -> None:
    raise AssertionError("nobody asks the engine")


async def test_a_browser_gets_the_page_and_ollamas_clients_their_greeting(tmp_path: Path) -> None:
    async with running(tmp_path, never) as rig:
        page = await rig.client.get("/", headers=BROWSER)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<title>Paddock</title>" in page.text
        for accept in ("*/*", "application/json"):
            greeting = await rig.client.get("/", headers={"Accept": accept})
            assert greeting.text == "Ollama is running"
            assert greeting.headers["Vary"] == "Accept"
        assert (await rig.client.head("/")).status_code == 200


async def test_the_page_may_run_its_own_files_only_and_may_not_be_framed(tmp_path: Path) -> None:
    async with running(tmp_path, never) as rig:
        headers = (await rig.client.get("/", headers=BROWSER)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        for path in sorted(ASSET_PATHS):
            assert (await rig.client.get(path)).headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_is_shown_before_anybody_signs_in_and_tells_nothing(tmp_path: Path) -> None:
    data = {**contract({"hidden-name": {}}), "keys": {"k": {"hash": hash_of(new_key())}}}
    async with running(tmp_path, data=data) as rig:
        for path in ("/", *ASSET_PATHS):
            reply = await rig.client.get(path, headers=BROWSER)
            assert reply.status_code == 200
            assert "hidden-name" not in reply.text
        assert (await rig.client.get("/api/paddock/live")).status_code == 401


async def test_a_file_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path, never) as rig:
        first = await rig.client.get("/paddock/page.js")
        again = await rig.client.get("/paddock/page.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = await rig.client.get("/paddock/page.js", headers={"Accept-Encoding": "identity"})
        assert plain.content == first.content == (FILES / "page.js").read_bytes()
        assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    "path", ["/paddock/", "/paddock/none.js", "/paddock/../assets.py", "/paddock/%2e%2e/assets.py"]
)
async def test_there_is_nothing_else(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, never) as rig:
        reply = await rig.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in reply.split(b"\r\n")[0]


def test_the_page_is_light() -> None:
    contents = [path.read_bytes() for path in FILES.iterdir()]
    assert sum(map(len, contents)) < 80_000
    assert sum(len(gzip.compress(data)) for data in contents) < 30_000


def test_the_page_holds_no_inline_script_and_asks_nobody_else() -> None:
    page = (FILES / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", page)
    for path in FILES.iterdir():
        elsewhere = re.findall(r"https?://(?!www\.w3\.org/)[\w.]+", path.read_text())
        assert elsewhere == [], path.name


def test_no_script_of_the_page_parses_markup() -> None:
    for path in FILES.glob("*.js"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
        )
        assert found is None, (path.name, found)
