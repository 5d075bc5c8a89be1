"""Lets tests of the page be coroutines, each in an event loop of its own, as the router has one."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import uvloop

from tests.programs import chromium_binary


@pytest.fixture(autouse=True)
def chromium() -> None:
    """Skips, or fails, where there is no browser."""
    chromium_binary()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(pyfuncitem.obj(**arguments), timeout=120))
    return True
