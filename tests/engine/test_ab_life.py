"""An A/B test from its first request to its last, on the real engine and two real model servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.checkout import Checkout, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

HALVES = ("--arm", "short=0.5", "--arm", "long=0.5")


def test_a_test_begins_is_judged_stops_an_arm_and_ends(checkout: Checkout, tmp_path: Path) -> None:
    models = {name: {"model": "gemma3:270m", "contextLength": size} for name, size in (("short", 256), ("long", 1024))}
    checkout.write(models=models, aliases={"default": "long"})
    checkout.up()
    pids = checkout.pids()

    begun = checkout.json("ab", "start", "default", *HALVES, "--guard", "error-rate=0.05", "--yes")
    assert begun["experiment"]["baseline"] == "long"
    assert checkout.pids() == pids  # the router took it in while it ran
    wait_until(lambda: set(weights(checkout)) == {"short", "long"})

    # What does not fit into the short one's context, the long one answers.
    text = "Say yes. " * 150
    answers = [ask(checkout, text) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 400}
    wait_until(lambda: weights(checkout) == {"long": 0.5, "short": 0.0})
    assert {ask(checkout, text).status_code for _ in range(10)} == {200}

    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "What is the capital of Japan?", "expect": "Tokyo"}) + "\n")
    judged = checkout.json("ab", "judge", "default", "--prompts", str(prompts))
    assert {arm: one["count"] for arm, one in judged["scores"].items()} == {"long": 1, "short": 1}

    page = tmp_path / "report.html"
    said = checkout.paddock("ab", "report", "default", "--html", str(page)).stdout
    assert "short (stopped)" in said
    assert "<svg" in page.read_text()

    ended = checkout.json("ab", "end", "default", "--keep", "long", "--yes")
    assert (ended["arms"], ended["experiment"]) == ("long", None)
    wait_until(lambda: "default" not in running(checkout))
    assert ask(checkout, "Say yes.").status_code == 200


def ask(checkout: Checkout, text: str) -> httpx.Response:
    body = {"model": "default", "messages": [{"role": "user", "content": text}], "max_tokens": 4}
    url = f"http://127.0.0.1:{checkout.router_port}/v1/chat/completions"
    return httpx.post(url, json=body, timeout=60, trust_env=False)


def running(checkout: Checkout) -> dict[str, Any]:
    """The tests that the router has taken in."""
    url = f"http://127.0.0.1:{checkout.router_port}/api/paddock/status"
    return httpx.get(url, timeout=10, trust_env=False).json()["experiments"]


def weights(checkout: Checkout) -> dict[str, float]:
    return running(checkout).get("default", {}).get("weights", {})
