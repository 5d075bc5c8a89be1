"""Servers that speak TLS: verified, by name, over HTTP/1.1."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from agent_runtime.router import pool
from tests.unit.router.rig import Rig, ScriptedEngine, Talk, contract, openai_whole, running

pytestmark = pytest.mark.unit


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole())


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The only authority that the router trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    pool.tls_context.cache_clear()
    return made


@asynccontextmanager
async def secured(tmp_path: Path, authority: trustme.CA, *names: str) -> AsyncIterator[tuple[Rig, list[str | None]]]:
    """A router before a server with a certificate for these names, and the names that it was asked by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    asked_by: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_by.append(name)
    engine = ScriptedEngine(whole)
    await engine.start(tls=context)
    url = f"https://localhost:{engine.port}"
    try:
        async with running(tmp_path, data=contract({"m": {"endpoints": [{"url": url}]}})) as rig:
            yield rig, asked_by
    finally:
        await engine.stop()


async def test_a_server_is_asked_by_its_name(tmp_path: Path, authority: trustme.CA) -> None:
    async with secured(tmp_path, authority, "localhost") as (rig, asked_by):
        for _ in range(3):
            assert (await rig.completion()).status_code == 200
        assert set(asked_by) == {"localhost"}


async def test_a_certificate_for_another_name_is_no_certificate(tmp_path: Path, authority: trustme.CA) -> None:
    async with secured(tmp_path, authority, "elsewhere.example") as (rig, _):
        reply = await rig.completion()
        assert reply.status_code == 503
        assert "certificate is not valid" in reply.json()["error"]["message"]


async def test_an_authority_that_nobody_knows_is_no_authority(tmp_path: Path, authority: trustme.CA) -> None:
    async with secured(tmp_path, trustme.CA(), "localhost") as (rig, _):
        reply = await rig.completion()
        assert reply.status_code == 503
        assert "certificate is not valid" in reply.json()["error"]["message"]
