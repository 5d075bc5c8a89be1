"""Who changed what, and when: one JSON object a line, in the data directory where there is one.

A line is written before the change is made; a change that cannot be written down is not made.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.log import Log

FILE_NAME: Final = "audit.jsonl"
MOST_SHOWN: Final = 500
_TAIL_BYTES: Final = 512 * 1024


class Audit:
    """The audit log of a router. Workers that share a directory share it."""

    def __init__(self, directory: Path | None, log: Log, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since 1970; without a directory, lines are kept in memory and in the router's log."""
        self._path = None if directory is None else directory / FILE_NAME
        self._log = log
        self._clock = clock
        self._kept: deque[dict[str, Any]] = deque(maxlen=MOST_SHOWN)

    def note(self, who: str, address: str, action: str, **details: object) -> None:
        """Write down what is about to be done.

        Args:
            who: The name of the key that asks; ``anonymous`` where none is asked for.
            address: Where the request came from.
            action: What is done: ``drain``, ``weights``, or the path of a change of models.
            details: What to, and how.

        Raises:
            RequestError: 503 it cannot be written down.
        """
        at = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"at": at, "who": who, "address": address, "action": action, **details}
        line = json.dumps(entry, default=str)
        if self._path is None:
            self._kept.append(entry)
        else:
            try:
                self._append(self._path, line.encode() + b"\n")
            except OSError as error:
                raise RequestError(
                    503, f"the audit log {self._path} cannot be written ({error.strerror}), and nothing is done without"
                ) from error
        self._log.event("admin", who=who, address=address, action=action, details=details)

    @staticmethod
    def _append(path: Path, line: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Lines of several workers do not mix: each is one write to a file that is open for appending.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last(self, count: int) -> list[dict[str, Any]]:
        """The last entries, the newest first."""
        if self._path is None:
            return list(self._kept)[: -count - 1 : -1]
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                lines = file.read().splitlines()[1 if size > _TAIL_BYTES else 0 :]
        except OSError:
            return []
        found: list[dict[str, Any]] = []
        for line in reversed(lines):
            if len(found) == count:
                break
            try:
                found.append(json.loads(line))
            except ValueError:  # cut off by a full disk, say
                found.append({"at": "", "who": "", "address": "", "action": "unreadable", "line": repr(line[:80])})
        return found
