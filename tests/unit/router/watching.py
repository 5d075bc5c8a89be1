"""Reads the page's stream of events as the page does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.unit.router.rig import Rig


class Watch:
    """What one viewer has been told so far."""

    def __init__(self, reply: httpx.Response) -> None:
        self.reply = reply
        self.parts: dict[str, Any] = {}
        self.decisions: list[dict[str, Any]] = []
        self.names: list[str] = []
        """The events that came."""
        self.text = ""
        """All of them, word for word."""
        self._pieces = reply.aiter_text()
        self._rest = ""

    async def next(self) -> str:
        """Wait for an event, and give its name. Empty: the stream has ended."""
        while "\n\n" not in self._rest:
            piece = await anext(self._pieces, None)
            if piece is None:
                return ""
            self._rest += piece
        event, _, self._rest = self._rest.partition("\n\n")
        self.text += event + "\n\n"
        fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
        if "event" not in fields:
            self.names.append("")
            return await self.next()
        data = json.loads(fields["data"])
        self.names.append(fields["event"])
        self.parts.update(data["set"])
        for gone in data["gone"]:
            del self.parts[gone]
        self.decisions += data["decisions"]
        return fields["event"]

    async def until(self, condition: Callable[[Watch], object], seconds: float = 8) -> None:
        """Read until something is so."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                assert await self.next(), "the stream has ended"


@asynccontextmanager
async def watching(rig: Rig, headers: Mapping[str, str] | None = None) -> AsyncIterator[Watch]:
    """One who watches, with the first event read."""
    async with rig.client.stream("GET", "/api/paddock/live", headers=dict(headers or {})) as reply:
        assert reply.status_code == 200, await reply.aread()
        watch = Watch(reply)
        assert await watch.next() == "hello"
        yield watch
