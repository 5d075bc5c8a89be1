"""Ports for tests: the kernel gives one that nobody holds, so that runs beside each other do not meet."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
