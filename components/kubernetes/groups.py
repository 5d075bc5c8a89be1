"""The whole fleet as groups of manifests: what `render` writes and what the components register are the same.

A group is a list of stages. What is in a stage may be made at once; each stage comes after the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.kubernetes.contract import build_contract
from components.kubernetes.manifests import (
    autoscaling,
    disruption,
    following,
    gpu_pools,
    ingress,
    namespace,
    network_policy,
    router,
    secrets,
    service,
    storage,
    valkey,
    web_ui,
    workload,
)
from components.kubernetes.manifests.meta import ROUTER, Manifest
from components.kubernetes.manifests.monitoring import monitoring
from components.kubernetes.model import GpuPool, KubernetesModel, KubernetesPlan
from fleet_spec.container_spec import SecretKeyRef

Stages = list[list[Manifest]]


@dataclass(frozen=True)
class Group:
    """Manifests that belong together, and make up one file and one component."""

    name: str
    stages: Stages

    @property
    def manifests(self) -> list[Manifest]:
        """All of them, in an order in which they can be made."""
        return [one for stage in self.stages for one in stage]


def namespace_stages(plan: KubernetesPlan) -> Stages:
    """The namespace and what holds for all of it."""
    policies = network_policy.fleet_policies(plan) if _walled(plan) else []
    return [[namespace.namespace(plan)], [namespace.service_account(plan), *policies]]


def secret_stages(plan: KubernetesPlan, values: Mapping[SecretKeyRef, Any]) -> Stages:
    """The Secrets that the stack makes itself. Never rendered."""
    return [secrets.stack_secrets(plan, values)]


def pool_stages(plan: KubernetesPlan, pool: GpuPool) -> Stages:
    """A pool's node class, then its pool."""
    return [[one] for one in gpu_pools.pool_manifests(plan, pool)]


def model_stages(plan: KubernetesPlan, model: KubernetesModel) -> Stages:
    """What a model's pods need, its workload, what scales it, and last the Services that lead to it.

    In this order a change of source swaps without a gap: the new workload is up before the Service turns to it and the
    contract names it, and what is no longer named goes at the very end, when the router follows the contract.
    """
    before = [network_policy.model_policy(plan, model)] if _walled(plan) else []
    loading: list[Manifest] = []
    if model.storage.mode == "shared":
        if _walled(plan):
            before.append(network_policy.loader_policy(plan, model))
        before.append(storage.shared_claim(plan, model))
        loading.append(workload.load_job(plan, model))
    if model.gpu is not None and model.gpu.device_class is not None:
        before.append(workload.gpu_claim_template(plan, model))
    scaler = autoscaling.scaler(plan, model)
    return [
        before,
        loading,
        [workload.workload(plan, model), disruption.model_budget(plan, model)],
        [scaler] if scaler is not None else [],
        [service.service(plan, model), service.endpoints_service(plan, model)],
    ]


def valkey_stages(plan: KubernetesPlan) -> Stages:
    """The fleet's own Valkey; empty where it has none."""
    if plan.spec.valkey.mode != "fleet":
        return []
    policies = [network_policy.valkey_policy(plan)] if _walled(plan) else []
    return [policies, [valkey.stateful_set(plan)], [valkey.service(plan)]]


def router_stages(plan: KubernetesPlan, contract_text: Any = None, image: Any = None) -> Stages:
    """The contract, the router that follows it, its addresses, and last the Job that sees it follow."""
    text = build_contract(plan).to_json() if contract_text is None else contract_text
    before = [router.contract_map(plan, text)]
    if _walled(plan):
        before += [network_policy.router_policy(plan), network_policy.follower_policy(plan)]
    scaler = autoscaling.router_scaler(plan)
    return [
        before,
        [router.deployment(plan, image), disruption.part_budget(plan, ROUTER)],
        [*([scaler] if scaler is not None else []), router.service(plan), following.replicas_service(plan)],
        [following.follow_job(plan, image)],
    ]


def web_ui_stages(plan: KubernetesPlan) -> Stages:
    """The chat page; empty where the fleet has none."""
    if not plan.spec.web_ui.enabled:
        return []
    policies = [network_policy.web_ui_policy(plan)] if _walled(plan) else []
    return [[*policies, web_ui.data_claim(plan)], [web_ui.deployment(plan)], [web_ui.service(plan)]]


def ingress_stages(plan: KubernetesPlan) -> Stages:
    """What leads in from outside."""
    return [ingress.outside(plan)]


def monitoring_stages(plan: KubernetesPlan) -> Stages:
    """What watches the fleet."""
    return [monitoring(plan)]


def fleet_groups(plan: KubernetesPlan) -> list[Group]:
    """Every group but the Secrets, in the order in which `kubectl apply` can take them."""
    groups = [
        Group("namespace", namespace_stages(plan)),
        *(Group(f"gpu-pool-{pool.object_name}", pool_stages(plan, pool)) for pool in plan.pools),
        Group("monitoring", monitoring_stages(plan)),
        Group("valkey", valkey_stages(plan)),
        *(Group(f"model-{model.safe_name}", model_stages(plan, model)) for model in plan.models),
        Group("router", router_stages(plan)),
        Group("web-ui", web_ui_stages(plan)),
        Group("ingress", ingress_stages(plan)),
    ]
    return [group for group in groups if group.manifests]


def _walled(plan: KubernetesPlan) -> bool:
    return plan.spec.kubernetes.network_policy.enabled
