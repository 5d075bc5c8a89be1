"""open-webui on the local target, as a person meets it: installed by `up`, signed up to, asked, taken down.

Runs only when asked for, with PADDOCK_TEST_WEB_UI=1: it installs open-webui into Paddock's cache, where it is not.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from components.local.records import LOG_NAME
from tests import programs
from tests.engine.checkout import Checkout, make_checkout, wait_until
from tests.ports import free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        os.environ.get("PADDOCK_TEST_WEB_UI") != "1",
        reason="installs open-webui, 7.3 GB: runs with PADDOCK_TEST_WEB_UI=1",
    ),
]
UP_TIMEOUT_SECONDS = 900
"""It may have to install, and the first start takes minutes on a busy machine."""
PATIENCE_MS = 180_000
"""A model on two busy cores reads the question, and open-webui's own prompts for a title and the like."""
QUESTION = "What is the capital of Japan?"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A stack with a web UI in its config, not up yet. It is taken down with the test."""
    checkout = make_checkout(tmp_path, programs.engine_binary())
    # open-webui asks for a title and the like as well, in longer prompts than the question's.
    model = {"model": "gemma3:270m", "contextLength": 4096}
    checkout.write(models={"assistant": model}, webUi={"enabled": True, "port": free_port()})
    yield checkout
    checkout.paddock("destroy", "--yes")
    assert checkout.records() == {}


def bring_up(checkout: Checkout) -> dict[str, Any]:
    process = checkout.start("up", "--yes", "--json")
    stdout, stderr = process.communicate(timeout=UP_TIMEOUT_SECONDS)
    assert process.returncode == 0, stderr
    document: dict[str, Any] = json.loads(stdout)
    return document


def test_sign_up_models_and_a_chat_through_the_router(checkout: Checkout) -> None:
    url: str = bring_up(checkout)["fleet"]["webUi"]["url"]
    assert checkout.json("outputs")["webUi"]["url"] == url
    assert set(checkout.records()) == {"assistant-0", "router", "web-ui"}
    no_key_shows(checkout)

    # Nobody comes in without an account.
    assert httpx.get(f"{url}/api/models").status_code == httpx.codes.UNAUTHORIZED
    password = secrets.token_urlsafe()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=programs.chromium_binary(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            outside: list[str] = []
            page.on("request", lambda one: outside.append(one.url) if is_outside(one.url, url) else None)
            page.goto(url)
            sign_up(page, password)
            chat(page)
            assert outside == [], "the page asks nobody but its own server"
        finally:
            browser.close()

    # The router has it on record, under the key that the stack made.
    wait_until(lambda: ("assistant", "default", 200) in chats_of(checkout))

    # Whoever comes next is sent away: accounts are the administrator's to make.
    second = {"name": "Eve", "email": "eve@example.com", "password": secrets.token_urlsafe()}
    refused = httpx.post(f"{url}/api/v1/auths/signup", json=second, timeout=60)
    assert refused.status_code == httpx.codes.FORBIDDEN

    # Unchanged, it is left alone; taken down, it is gone, and what people wrote is not.
    pids = checkout.pids()
    assert bring_up(checkout)["changes"] == {}
    assert checkout.pids() == pids
    checkout.paddock("destroy", "--yes")
    assert not psutil.pid_exists(pids["web-ui"])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", httpx.URL(url).port)) != 0
    assert not (checkout.directory / ".paddock" / "dev" / "web-ui-secrets").exists()
    bring_up(checkout)
    assert httpx.post(f"{url}/api/v1/auths/signup", json=second, timeout=60).status_code == httpx.codes.FORBIDDEN
    credentials = {"email": "ada@example.com", "password": password}
    assert httpx.post(f"{url}/api/v1/auths/signin", json=credentials, timeout=60).json()["role"] == "admin"


def sign_up(page: Page, password: str) -> None:
    page.get_by_role("button", name="Get started").click()
    page.get_by_role("textbox", name="Name").fill("Ada")
    page.get_by_role("textbox", name="Email").fill("ada@example.com")
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Create Admin Account").click()
    page.get_by_role("button", name="Okay, Let's Go!").click()


def chat(page: Page) -> None:
    page.get_by_role("button", name="Selected model").click()
    models = page.get_by_role("listbox", name="Available models")
    for name in ("default", "assistant"):
        expect(models.get_by_role("option", name=name)).to_be_visible()
    models.get_by_role("option", name="assistant").click()
    page.get_by_role("textbox", name="How can I help you today?").fill(QUESTION)
    page.keyboard.press("Enter")
    replies = page.get_by_role("region", name="Chat Conversation").get_by_role("listitem")
    expect(replies.last).to_contain_text("Tokyo", timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0, timeout=PATIENCE_MS)
    directory = os.environ.get("PADDOCK_SCREENSHOTS")
    if directory:
        page.screenshot(path=Path(directory) / "web-ui.png")


def is_outside(asked: str, url: str) -> bool:
    return not asked.startswith((url, "data:", "blob:", url.replace("http", "ws", 1)))


def no_key_shows(checkout: Checkout) -> None:
    """The stack's keys are in their own files, and in no other file, command line or output."""
    kept = checkout.directory / ".paddock" / "dev"
    keys = {
        path: path.read_text().strip()
        for path in (kept / "secrets" / "default", kept / "web-ui-secrets" / "session-key")
    }
    told = checkout.paddock("outputs").stdout + checkout.paddock("status").stdout
    commands = [psutil.Process(pid).cmdline() for pid in checkout.pids().values()]
    for home, key in keys.items():
        assert key not in told
        assert not [command for command in commands if key in " ".join(command)]
        files = (path for path in checkout.directory.rglob("*") if path.is_file())
        assert [path for path in files if key.encode() in path.read_bytes()] == [home]


def chats_of(checkout: Checkout) -> set[tuple[str, str, int]]:
    """What the router answered: model, key and status of every chat that is over."""
    text = (checkout.records()["router"].directory / LOG_NAME).read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line["event"] == "request" and line["path"] == "/v1/chat/completions"]
    return {(line["model"], line["key"], line["status"]) for line in asked}
