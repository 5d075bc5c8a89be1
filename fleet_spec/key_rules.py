"""What the config, the command line and the router agree on about keys: names with a meaning, and expiry."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

STACK_KEY = "default"
"""The name of the key that a stack makes by itself."""

PREVIOUS_SUFFIX = "-previous"
"""What ``paddock keys rotate`` adds to a key's name for the old key, which goes on for a while beside the new one."""


def owner_of(name: str, names: Container[str]) -> str:
    """Under whose name a key's requests are counted: an old key's under that of the key that took its place.

    >>> owner_of("ci-previous", {"ci", "ci-previous"})
    'ci'
    """
    owner = name.removesuffix(PREVIOUS_SUFFIX)
    return owner if owner in names else name


def expiry_timestamp(expires: str) -> float:
    """The moment from which a key with this ``expires`` is refused, in seconds since 1970 (UTC).

    >>> expiry_timestamp("1970-01-02")
    86400.0

    Raises:
        ValueError: there is no such day or second, such as 2026-02-30.
    """
    return datetime.fromisoformat(expires.removesuffix("Z")).replace(tzinfo=UTC).timestamp()
