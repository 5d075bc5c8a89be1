"""What a client says in headers of how its request is to be treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from agent_runtime.router.dialects.errors import RequestError
from fleet_spec.governance_spec import Priority, Tier

_PREFIX: Final = b"x-paddock-"
_MAX_SESSION_BYTES: Final = 256


@dataclass(slots=True)
class Wishes:
    """Whatever is None was not said."""

    private: bool | None = None
    """X-Paddock-Privacy: private, or public."""
    complex: bool | None = None
    """X-Paddock-Complexity: complex, or routine."""
    tier: Tier | None = None
    """X-Paddock-Tier: the only tier that may answer."""
    priority: Priority | None = None
    """X-Paddock-Priority; a key may allow less."""
    session: str = ""
    """X-Paddock-Session: requests of one session go to one arm of an experiment, and to one replica."""
    fresh: bool = False
    """Cache-Control: no-cache. The answer is not to come from the cache."""
    unkept: bool = False
    """Cache-Control: no-store. The answer is not to be kept either."""
    trace_parent: bytes | None = None
    """traceparent, as W3C's Trace Context has it."""


NO_WISHES: Final = Wishes()


def wishes_of(headers: list[tuple[bytes, bytes]]) -> Wishes:
    """Read the headers of a request; their names are in lower case.

    Raises:
        RequestError: 400, a value is none of those that are possible.
    """
    found: Wishes | None = None
    for name, value in headers:
        if name.startswith(_PREFIX):
            found = found or Wishes()
            _wish(found, name, value.decode("latin-1").strip())
        elif name == b"cache-control":
            found = found or Wishes()
            directives = {part.strip() for part in value.decode("latin-1").lower().split(",")}
            found.unkept = found.unkept or "no-store" in directives
            found.fresh = found.fresh or found.unkept or "no-cache" in directives
        elif name == b"traceparent":
            found = found or Wishes()
            found.trace_parent = value
    # Nothing changes what nobody said: one object serves all requests without a wish.
    return found or NO_WISHES


def _wish(wishes: Wishes, name: bytes, value: str) -> None:
    match name:
        case b"x-paddock-privacy":
            # Said twice, the stricter word holds.
            wishes.private = _one_of(name, value, ("private", "public")) == "private" or wishes.private is True
        case b"x-paddock-complexity":
            wishes.complex = _one_of(name, value, ("complex", "routine")) == "complex"
        case b"x-paddock-tier":
            wishes.tier = cast("Tier", _one_of(name, value, ("local", "cloud", "commercial")))
        case b"x-paddock-priority":
            wishes.priority = cast("Priority", _one_of(name, value, ("high", "normal", "low")))
        case b"x-paddock-session":
            if len(value) > _MAX_SESSION_BYTES:
                raise RequestError(400, f"X-Paddock-Session has {len(value)} bytes; at most {_MAX_SESSION_BYTES}")
            wishes.session = value
        case _:
            # A misspelt X-Paddock-Privacy must not send a private prompt away.
            known = "Privacy, Complexity, Tier, Priority, Session"
            raise RequestError(400, f"no header {_title(name)} is known: X-Paddock- is followed by one of {known}")


def _one_of(name: bytes, value: str, known: tuple[str, ...]) -> str:
    lowered = value.lower()
    if lowered not in known:
        raise RequestError(400, f"{_title(name)} is {value[:50]!r}; write one of: {', '.join(known)}")
    return lowered


def _title(name: bytes) -> str:
    return name.decode("latin-1").title()
