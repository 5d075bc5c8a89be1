"""Main memory of a Docker host, as a plan tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostMemory:
    """Main memory of a Docker host, in bytes."""

    needed_bytes: int
    """What the replicas without a GPU are reckoned to need, all of them together."""
    limit_bytes: int
    """What all containers that stay may use together."""
    has_bytes: int | None
    """None where that is not known."""

    def to_mapping(self) -> dict[str, int | None]:
        """As plain JSON data."""
        return {"neededBytes": self.needed_bytes, "limitBytes": self.limit_bytes, "hasBytes": self.has_bytes}
