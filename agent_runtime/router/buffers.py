"""How much the router keeps in memory for all its clients together: bodies of requests, and answers that are collected.

Each has a limit of its own; many at once would still be too much for the machine. What is small is not counted.
"""

from __future__ import annotations

from typing import Final

SMALL_BYTES: Final = 16 * 1024


class Buffers:
    """Counts bytes."""

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Count bytes in, if there is room for them."""
        used = self.used_bytes + size_bytes
        if used > self.limit_bytes:
            return False
        self.used_bytes = used
        return True

    def give_back(self, size_bytes: int) -> None:
        """Count bytes out."""
        self.used_bytes -= size_bytes
