"""The router's log: one JSON object a line on stderr. It never holds a prompt or an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

_FLUSH_BYTES = 32 * 1024


def _write_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        # Whoever read the log has gone. That is no reason to stop serving.
        return


class Log:
    """Lines of the access log wait in memory for the next tick, so that a request costs no system call."""

    def __init__(self, write: Callable[[str], object] = _write_stderr) -> None:
        self._write = write
        self._waiting: list[str] = []
        self._waiting_size_bytes = 0

    def event(self, event: str, *, level: str = "info", **fields: object) -> None:
        """Write one event at once, after the lines that wait."""
        record = {"time": _now(), "level": level, "event": event, **fields}
        self._waiting.append(json.dumps(record, default=str) + "\n")
        self.flush()

    def access(self, **fields: object) -> None:
        """Note a request that has ended. The line is written at the next flush."""
        line = json.dumps({"time": _now(), "level": "info", "event": "request", **fields}) + "\n"
        self._waiting.append(line)
        self._waiting_size_bytes += len(line)
        if self._waiting_size_bytes > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._waiting:
            text = "".join(self._waiting)
            self._waiting.clear()
            self._waiting_size_bytes = 0
            self._write(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
