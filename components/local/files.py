"""Files written whole or not at all, locks between processes, and where this user's caches are.

Standard library only: the supervisor, which lives as long as a model server, uses it too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path


def cache_root() -> Path:
    """The folder that all checkouts of this user share: weights and the list of reserved ports.

    ``PADDOCK_CACHE`` names it; else it is ``paddock`` under ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    chosen = os.environ.get("PADDOCK_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "paddock"


def atomic_write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` at ``path`` with exactly ``mode``. A reader sees the old file or the new one, never a part.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_path(path: Path) -> Path:
    """A hidden name beside ``path`` that no other thread or process uses at the same time."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextlib.contextmanager
def file_lock(path: Path, waiting: Callable[[float], None] | None = None) -> Generator[None]:
    """Hold ``path`` locked against other processes and threads of this machine.

    Args:
        path: The lock file; made when absent, and left behind.
        waiting: Called about every 0.2 s with the seconds waited so far. What it raises ends the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting(time.monotonic() - started)
                time.sleep(0.2)
            else:
                break
        yield
    finally:
        os.close(descriptor)
