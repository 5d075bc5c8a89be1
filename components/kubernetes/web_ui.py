"""The chat page on a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import web_ui_stages
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages


class WebUi(pulumi.ComponentResource):
    """The chat page.

    Attributes:
        ready: What is there when it answers.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the web UI of a plan, to be made after ``depends_on``."""
        super().__init__("paddock:kubernetes:WebUi", name, None, opts)
        self.ready = register_stages(self, name, web_ui_stages(plan), depends_on=depends_on)
        self.register_outputs({"enabled": plan.spec.web_ui.enabled})
