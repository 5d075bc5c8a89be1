"""What Prometheus and Grafana are told."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import monitoring_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class Monitoring(pulumi.ComponentResource):
    """What Prometheus and Grafana are told."""

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the monitoring of a plan, to be made after ``depends_on``."""
        super().__init__("paddock:kubernetes:Monitoring", name, None, opts)
        register_stages(self, name, monitoring_stages(plan), depends_on=depends_on)
        self.register_outputs({"enabled": plan.spec.monitoring.enabled})
