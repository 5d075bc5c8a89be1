"""The namespace, what holds for all of it, and the Secrets that the stack makes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import pulumi

from components.kubernetes.groups import namespace_stages, secret_stages
from components.kubernetes.manifests.secrets import ROUTER_KEYS, needed_secrets
from components.kubernetes.model import KubernetesPlan
from components.kubernetes.register import register_stages
from components.random_key import RandomKey
from fleet_spec.container_spec import SecretKeyRef


class Namespace(pulumi.ComponentResource):
    """The namespace, its standard of security, its closed network, and the Secrets that the stack makes.

    Attributes:
        ready: What everything else in the namespace waits for.
        router_key: The key that the stack made up for its router, secret; None where the user names one.
    """

    ready: Sequence[pulumi.Resource]
    router_key: pulumi.Output[str] | None

    def __init__(
        self,
        name: str,
        *,
        plan: KubernetesPlan,
        tier_keys: Mapping[str, pulumi.Output[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the namespace.

        Args:
            name: The resource's name; children take theirs from it.
            plan: The fleet that lives in it.
            tier_keys: Keys of tiers beyond the fleet, secret, by the name of the router's file for each.
            opts: Options of the component.
        """
        super().__init__("paddock:kubernetes:Namespace", name, None, opts)
        around = register_stages(self, name, namespace_stages(plan))
        values: dict[SecretKeyRef, pulumi.Output[str]] = {}
        for one in needed_secrets(plan):
            if not one.made_by_stack:
                continue
            values[one.reference] = (
                self._made_up(name, one.reference, plan) if one.made_up else tier_keys[one.reference.key]
            )
        self.router_key = values.get(ROUTER_KEYS)
        encoded = {reference: value.apply(_base64) for reference, value in values.items()}
        made = register_stages(self, name, secret_stages(plan, encoded), depends_on=around)
        self.ready = [*around, *made]
        self.register_outputs({"namespace": plan.namespace})

    def _made_up(self, name: str, reference: SecretKeyRef, plan: KubernetesPlan) -> pulumi.Output[str]:
        generation = plan.spec.router.key_generation if reference == ROUTER_KEYS else 1
        own = pulumi.ResourceOptions(parent=self)
        return RandomKey(f"{name}-{reference.name}-value", generation=generation, opts=own).key


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
