"""The series that a router serves, as far as rules and dashboards may name them."""

from __future__ import annotations

import re
from functools import cache

from agent_runtime.router import fleet_view
from agent_runtime.router.fleet_state import FleetState
from agent_runtime.router.governance import Governance
from agent_runtime.router.log import Log
from agent_runtime.router.metrics import Metrics


@cache
def served() -> frozenset[str]:
    """The names of all samples of /metrics."""
    families = [
        *Metrics().families(active={}, endpoints=[], connections=0),
        *Governance.ungoverned(Log(lambda _: None)).families(),
        *fleet_view.families(FleetState(), 0.0),
    ]
    plain = {one.name for one in families if one.kind != "histogram"}
    of_histograms = {one.name for one in families if one.kind == "histogram"}
    return frozenset(plain | {f"{name}_{part}" for name in of_histograms for part in ("bucket", "sum", "count")})


def named_in(expression: str) -> set[str]:
    """The series that an expression names, those of others that Paddock's rules go by among them."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:paddock|ollama|kube|DCGM|gpu_utilization)_\w+", bare))
