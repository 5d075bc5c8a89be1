"""What this process itself uses: processor time, memory, files, and how late its event loop is."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Final

import psutil

from agent_runtime.router.exposition import Family, Histogram, family, histograms

_EVERY_SECONDS: Final = 0.5
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ProcessMetrics:
    """Reads the process when it is asked, and watches the event loop from then on."""

    def __init__(self) -> None:
        self.lag = Histogram(_LAG_SECONDS)
        """Seconds that a timer of the event loop was late."""
        self._process = psutil.Process()
        self._loop: asyncio.AbstractEventLoop | None = None

    def families(self) -> list[Family]:
        """For Prometheus. The first call in a running event loop begins to watch it."""
        self._watch()
        found = [
            family(
                "paddock_process_cpu_seconds_total",
                "counter",
                "Processor time that this router has used.",
                [((), time.process_time())],
            ),
            family(
                "paddock_process_resident_memory_bytes",
                "gauge",
                "Memory that this router holds.",
                [((), self._process.memory_info().rss)],
            ),
            histograms(
                "paddock_event_loop_lag_seconds",
                "How long after its time the event loop gets round to a timer.",
                (),
                {(): self.lag},
            ),
        ]
        if hasattr(self._process, "num_fds"):  # there is none on Windows
            files = self._process.num_fds()
            found.append(
                family("paddock_process_open_files", "gauge", "Files and connections that are open.", [((), files)])
            )
        return found

    def _watch(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # whoever counts outside of one has none to watch
            return
        if loop is not self._loop:
            self._loop = loop
            _look(weakref.ref(self), loop, None)


def _look(metrics: weakref.ref[ProcessMetrics], loop: asyncio.AbstractEventLoop, due: float | None) -> None:
    """Note how late this call is, and come again."""
    alive = metrics()
    if alive is None:
        return
    now = loop.time()
    if due is not None:
        alive.lag.observe(max(0.0, now - due))
    loop.call_at(now + _EVERY_SECONDS, _look, metrics, loop, now + _EVERY_SECONDS)
