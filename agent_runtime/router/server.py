"""Runs the router as a process: from a contract's file to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import ipaddress
import signal
from collections.abc import Callable
from pathlib import Path

from agent_runtime.discovery import ContractFile
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.service import Router
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080


def serve(
    fleet: Path,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    limits: Limits | None = None,
    log: Log | None = None,
) -> int:
    """Run a router until SIGTERM or SIGINT, and give its exit code.

    Args:
        fleet: the contract's file. It is followed while the router runs.
        host: an address of this machine's loopback.
        port: 0 takes a free one; the log's ``listening`` line tells which.
        limits: how long and how much a request may take.
        log: where events go; stderr by default.

    Raises:
        BadInputError: the host is not on loopback, the port is taken, or there is no usable contract.
    """
    _demand_loopback(host)
    if not 0 <= port <= 65535:
        raise BadInputError(f"--port {port} is no port: choose one from 1 to 65535, or 0 for a free one.")
    source = ContractFile(fleet)
    contract = source.load()
    run = _run(source, contract, host, port, limits or Limits(), log or Log())
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, which it is not on every platform."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("uvloop").new_event_loop
    return None


async def _run(source: ContractFile, contract: FleetContract, host: str, port: int, limits: Limits, log: Log) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    impatient = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            impatient.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)
    router = Router(source, contract, limits, log)
    try:
        await router.start(host, port)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    await stop.wait()
    draining = loop.create_task(router.drain())
    hurrying = loop.create_task(impatient.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurrying):
        task.cancel()
    await asyncio.gather(draining, hurrying, return_exceptions=True)
    return 0


def _demand_loopback(host: str) -> None:
    local = host == "localhost"
    if not local:
        with contextlib.suppress(ValueError):
            local = ipaddress.ip_address(host).is_loopback
    if not local:
        raise BadInputError(
            f"--host {host} is not an address of this machine's loopback. The router asks for no keys, so it "
            "listens on 127.0.0.1, ::1 or localhost only."
        )


def _cannot_listen(host: str, port: int, error: OSError) -> BadInputError:
    if error.errno == errno.EADDRINUSE:
        return BadInputError(
            f"port {port} on {host} is taken by another process. Stop that one (`ss -ltnp 'sport = :{port}'` "
            "shows it), or choose another port with --port."
        )
    reason = error.strerror or str(error)
    return BadInputError(f"cannot listen on {host} port {port}: {reason}. Choose another with --port.")
