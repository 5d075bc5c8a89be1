"""What a person sees. Results go to stdout; progress, logs and errors go to stderr.

On a terminal there are colours, tables and a spinner; in a pipe there is plain text.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.status import Status

PIPE_INTERVAL_SECONDS = 10.0
"""How often a long step says in a pipe or a CI log that it is still at work."""
_TICK_SECONDS = 0.2


def write(text: str = "") -> None:
    """Print a line of the command's result."""
    print(text, flush=True)  # noqa: T201


def write_json(document: Any) -> None:
    """Print the command's result as its one JSON document."""
    print(json.dumps(document, indent=2), flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print a line that is not the result: progress, a warning, a hint."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: ruled and coloured on a terminal, columns of plain text in a pipe.

    On a terminal where words would have to be broken it is row after row, each as lines of column and value.
    """
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        terminal = Console()
        if _longest_words(columns, rows) > terminal.width:
            _blocks(columns, rows)
            return
        drawn = Table(box=box.SIMPLE_HEAD, header_style="bold")
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in rows:
            drawn.add_row(*row)
        terminal.print(drawn)
        return
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    for row in [columns, *rows]:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


_COLUMN_SPACE = 2


def _longest_words(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The characters that a line needs at least, if no word is to be broken."""
    every = [columns, *rows]
    return sum(
        max(len(word) for row in every for word in row[at].split() or [""]) + _COLUMN_SPACE
        for at in range(len(columns))
    )


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(len(column) for column in columns)
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            write(f"{column.ljust(width)}  {cell}")
        write()


class Step:
    """A step that may take long. Says what it is waiting for and for how long.

    Use as a context manager; :meth:`update` changes what is said. Leaving it in peace prints how long
    it took.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._detail = ""
        self._outcome = ""
        self._started_at = time.monotonic()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status(self._title)
            self._status.start()
        else:
            note(f"{self._title} ...")
        self._ticker.start()
        return self

    def update(self, detail: str) -> None:
        """Say what the step is at now."""
        self._detail = detail

    def finish(self, outcome: str) -> None:
        """Say how the step ended, in place of its title."""
        self._outcome = outcome

    @property
    def elapsed_seconds(self) -> float:
        """How long the step has taken so far."""
        return time.monotonic() - self._started_at

    def _tick(self) -> None:
        interval = _TICK_SECONDS if self._status is not None else PIPE_INTERVAL_SECONDS
        while not self._done.wait(interval):
            detail = f": {self._detail}" if self._detail else ""
            line = f"{self._title}{detail} ({self.elapsed_seconds:.0f} s)"
            if self._status is not None:
                from rich.markup import escape

                self._status.update(escape(line))
            else:
                note(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._ticker.join()
        if self._status is not None:
            self._status.stop()
        if kind is None:
            note(f"{self._outcome or self._title} ({self.elapsed_seconds:.1f} s)")


def confirm(question: str) -> bool:
    """Ask a person at a terminal; the answer is no unless it begins with y."""
    note(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower().startswith("y")
