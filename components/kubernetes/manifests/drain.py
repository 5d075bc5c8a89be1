"""How a model server's pod ends: it stays until the streams that it has begun are over."""

from __future__ import annotations

from typing import Any

LEAVE_SECONDS = 5
"""How long other nodes may take to learn that the pod is no longer an endpoint."""
_SETTLE_SECONDS = 20
"""What the server gets between the end of the last stream and being killed."""

# Neither engine is known to finish what it has begun when it is told to end. So the hook waits, before the signal,
# until nobody is connected to the server's port: state 01 in /proc/net/tcp is an open connection. Two looks in a row
# must agree, because probes connect too.
_SCRIPT = """\
sleep {leave}
quiet=0
waited=0
while [ "$waited" -lt {limit} ] && [ "$quiet" -lt 2 ]; do
  if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
     awk -v port=":{port:04X}" '$4 == "01" && substr($2, length($2) - 4) == port {{ n++ }} END {{ exit n > 0 }}'
  then quiet=$((quiet + 1)); else quiet=0; fi
  sleep 1
  waited=$((waited + 1))
done
"""


def pre_stop(port: int, drain_seconds: int) -> dict[str, Any]:
    """The lifecycle hook of a server on ``port`` that may take ``drain_seconds`` for its streams."""
    script = _SCRIPT.format(leave=LEAVE_SECONDS, limit=drain_seconds, port=port)
    return {"preStop": {"exec": {"command": ["/bin/sh", "-c", script]}}}


def grace_seconds(drain_seconds: int) -> int:
    """How long the pod gets from the first notice to the kill."""
    return LEAVE_SECONDS + drain_seconds + _SETTLE_SECONDS
