"""Where the fleet's GPU nodes come from."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import pool_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class GpuPools(pulumi.ComponentResource):
    """Every GPU pool that is made from inside the cluster.

    Attributes:
        ready: The pools.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(self, name: str, *, plan: KubernetesPlan, opts: pulumi.ResourceOptions | None = None) -> None:
        """Describe the pools of a plan."""
        super().__init__("paddock:kubernetes:GpuPools", name, None, opts)
        made = [register_stages(self, name, pool_stages(plan, pool)) for pool in plan.pools]
        self.ready = [resource for pool in made for resource in pool]
        self.register_outputs({"pools": [pool.object_name for pool in plan.pools]})
