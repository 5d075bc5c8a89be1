"""One model on a cluster: workload, storage, scaler, budget, network policy, Services."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import model_stages
from components.kubernetes.model import KubernetesModel, KubernetesPlan
from components.kubernetes.register import register_stages


class ModelService(pulumi.ComponentResource):
    """Serves one model.

    Attributes:
        ready: What is there when the model answers.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        model: KubernetesModel,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the service.

        Args:
            name: The resource's name; children take theirs from it.
            plan: The fleet that it is part of.
            model: What to serve, decided.
            depends_on: What must be there first: the namespace.
            opts: Options of the component.
        """
        super().__init__("paddock:kubernetes:ModelService", name, None, opts)
        self.ready = register_stages(
            self,
            name,
            model_stages(plan, model),
            depends_on=depends_on,
            load_timeout_seconds=plan.spec.kubernetes.load_timeout_seconds,
            first_replicas=model.replicas.first,
        )
        self.register_outputs({"service": model.safe_name})
