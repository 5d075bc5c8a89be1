"""The router's log: one JSON object a line on stderr. It never holds a prompt or an answer."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from agent_runtime.router.dialects.usage import Usage

_FLUSH_BYTES = 32 * 1024


def _write_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        # Whoever read the log has gone. That is no reason to stop serving.
        return


def where(error: BaseException) -> str:
    """What went wrong and at which line, without the error's own words: they may hold a part of a prompt."""
    places = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + (f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else "")


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

    def access(
        self,
        *,
        path: str,
        status: int,
        seconds: float,
        request_id: str = "",
        model: str = "",
        tier: str = "",
        key: str = "",
        endpoint: str = "",
        reason: str = "",
        usd: float = 0.0,
        first_byte_seconds: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Note a request that has ended. The line is written at the next flush."""
        first = "null" if first_byte_seconds is None else f"{first_byte_seconds * 1000:.1f}"
        prompt, completion = ("null", "null") if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        # Every request passes here: the line is put together by hand, and what can recur is quoted once.
        line = (
            f'{{"time": "{_now()}", "level": "info", "event": "request", "request_id": "{request_id}", '
            f'"path": {_quoted(path)}, "model": {_quoted(model)}, "tier": "{tier}", "key": {_quoted(key)}, '
            f'"endpoint": {_quoted(endpoint)}, "reason": "{reason}", "status": {status}, "usd": {usd:.9f}, '
            f'"duration_ms": {seconds * 1000:.1f}, "first_byte_ms": {first}, '
            f'"prompt_tokens": {prompt}, "completion_tokens": {completion}}}\n'
        )
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


@lru_cache(maxsize=512)
def _quoted(text: str) -> str:
    return json.dumps(text)


def _now() -> str:
    seconds = time.time()
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")
