"""A client that leaves frees the slot of a real llama.cpp server, however it had asked."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.runtime.conftest import RouterFor

pytestmark = pytest.mark.runtime

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}, "minItems": 500}},
    "required": ["a"],
}
WAYS: dict[str, dict[str, Any]] = {
    "streamed": {"stream": True},
    "whole": {},
    "with tools": {"tools": [TOOL]},
    "with a form": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
}


def busy_slots(engine: str) -> list[dict[str, Any]]:
    """The slots at work, as the server tells."""
    slots: list[dict[str, Any]] = httpx.get(f"{engine}/slots", timeout=30, trust_env=False).json()
    return [slot for slot in slots if slot["is_processing"]]


def wait_for(engine: str, count: int) -> None:
    """Wait until so many slots are at work."""
    deadline = time.monotonic() + 15
    while len(busy_slots(engine)) != count:
        assert time.monotonic() < deadline, busy_slots(engine)
        time.sleep(0.05)


@pytest.mark.parametrize("way", WAYS)
def test_the_slot_of_a_client_that_leaves_is_free_again(llamacpp_url: str, router_for: RouterFor, way: str) -> None:
    router = urlsplit(router_for("llamacpp", llamacpp_url))
    asked = {
        "model": "assistant",
        "messages": [{"role": "user", "content": "Tell a story."}],
        "max_tokens": 100_000,
        "ignore_eos": True,
        **WAYS[way],
    }
    body = json.dumps(asked).encode()
    wait_for(llamacpp_url, 0)
    with socket.create_connection((router.hostname, router.port)) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        wait_for(llamacpp_url, 1)
    wait_for(llamacpp_url, 0)
