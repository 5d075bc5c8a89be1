"""Runs the router as a process: from a contract's file to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import signal
from collections.abc import Callable
from typing import Final

from agent_runtime.discovery import ContractFile
from agent_runtime.router.governance import Governance
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.service import Router
from agent_runtime.router.settings import Settings
from agent_runtime.router.traces import Traces
from agent_runtime.router.workers import run_workers
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000


def serve(settings: Settings, *, limits: Limits | None = None, log: Log | None = None) -> int:
    """Run a router until SIGTERM or SIGINT, and give its exit code.

    Args:
        settings: What the command line says.
        limits: How long and how much a request may take.
        log: Where events go; stderr by default.

    Raises:
        BadInputError: an address that cannot be had, no usable contract, secrets that cannot be used, or a
            router beyond loopback that knows no key.
    """
    settings.check()
    log = log or Log()
    source = ContractFile(settings.fleet)
    contract = source.load()
    try:
        if settings.workers > 1 and settings.seat is None:
            # Whatever is wrong is told once, by the parent.
            Governance.check(settings, contract)
            command = settings.worker_command()
            return run_workers(command, host=settings.host, port=settings.port, workers=settings.workers, log=log)
        run = _run(source, contract, settings, limits or Limits(), log)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(run)
    except OSError as error:
        raise _cannot_listen(settings.host, settings.port, error) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, which it is not on every platform."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("uvloop").new_event_loop
    return None


async def _run(source: ContractFile, contract: FleetContract, settings: Settings, limits: Limits, log: Log) -> int:
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
    traces = Traces.from_environment()
    governance = Governance.of(settings, contract, log)
    router = Router(source, contract, limits, log, governance, settings.seat, on_orphaned=stop.set, traces=traces)
    # What is there now stays: collections need not go through it again and again, nor after every few requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    await router.start(settings.host, settings.port, reuse_port=settings.seat is not None)
    await stop.wait()
    draining = loop.create_task(router.drain())
    hurrying = loop.create_task(impatient.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurrying):
        task.cancel()
    await asyncio.gather(draining, hurrying, return_exceptions=True)
    return 0


def _cannot_listen(host: str, port: int, error: OSError) -> BadInputError:
    if error.errno == errno.EADDRINUSE:
        return BadInputError(
            f"port {port} on {host} is taken by another process. Stop that one (`ss -ltnp 'sport = :{port}'` "
            "shows it), or choose another port with --port."
        )
    reason = error.strerror or str(error)
    return BadInputError(f"cannot listen on {host} port {port}: {reason}. Choose another with --host and --port.")
