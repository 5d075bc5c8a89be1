"""The namespace, what holds for all of it, and the Secrets that the stack makes up."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pulumi

from components.kubernetes.groups import namespace_stages, secret_stages
from components.kubernetes.manifests.secrets import needed_secrets
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages

_SECRET_BYTES = 32


class Namespace(pulumi.ComponentResource):
    """The namespace, its standard of security, its closed network, and the Secrets that the stack makes up.

    Attributes:
        ready: What everything else in the namespace waits for.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(self, name: str, *, plan: KubernetesPlan, opts: pulumi.ResourceOptions | None = None) -> None:
        """Describe the namespace of a plan."""
        super().__init__("paddock:kubernetes:Namespace", name, None, opts)
        around = register_stages(self, name, namespace_stages(plan))
        values = {
            one.reference.name: pulumi.Output.secret(secrets.token_urlsafe(_SECRET_BYTES))
            for one in needed_secrets(plan)
            if one.made_by_stack
        }
        made = register_stages(self, name, secret_stages(plan, values), depends_on=around)
        self.ready = [*around, *made]
        self.register_outputs({"namespace": plan.namespace})
