"""The page of a router of several processes shows all of them, and changes all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.router.rig import contract
from tests.unit.router.test_workers import workers

pytestmark = [pytest.mark.unit, pytest.mark.slow]

_ENOUGH = 14
"""Questions of which one worker of two gets all once in eight thousand times."""


def test_it_shows_the_requests_of_all_workers(tmp_path: Path) -> None:
    with workers(tmp_path, "--workers", 2, "--port", 0) as running:
        url = running.url(2)
        asked = seen = 0
        with httpx.stream("GET", f"{url}/api/paddock/live", timeout=15) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data: "):
                    continue
                said: dict[str, Any] = json.loads(line.removeprefix("data: "))
                if "router" in said["set"]:
                    assert said["set"]["router"]["workers"] == 2
                seen += len(said["decisions"])
                while asked < _ENOUGH:
                    asked += 1
                    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
                    assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 503
                if seen == _ENOUGH:
                    break
        assert seen == _ENOUGH


def test_what_is_drained_is_drained_in_all_workers(tmp_path: Path) -> None:
    with workers(tmp_path, "--workers", 2, "--port", 0) as running:
        url = running.url(2)
        endpoint = "http://127.0.0.1:9"
        fresh = tmp_path / "fleet.new"
        fresh.write_text(json.dumps(contract({"m": {"endpoints": [{"url": endpoint}]}})))
        fresh.replace(tmp_path / "fleet.json")

        def drained() -> set[bool | None]:
            found = [httpx.get(f"{url}/api/paddock/status").json()["models"][0]["endpoints"] for _ in range(_ENOUGH)]
            return {ends[0]["drained"] if ends else None for ends in found}

        running.until(lambda: drained() == {False})
        httpx.post(f"{url}/api/paddock/drain", json={"endpoint": endpoint, "drained": True}).raise_for_status()
        running.until(lambda: drained() == {True})
        entries = httpx.get(f"{url}/api/paddock/audit").json()["entries"]
        assert [one["action"] for one in entries] == ["drain"]
