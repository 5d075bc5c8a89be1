"""Who may speak to whom: nobody, but for what is named here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from components.kubernetes.manifests import following, router, valkey, web_ui
from components.kubernetes.manifests.engines import ENGINES
from components.kubernetes.manifests.meta import (
    COMPONENT,
    MODEL_COMPONENT,
    PART_OF,
    ROUTER,
    VALKEY,
    WEB_UI,
    Manifest,
    fleet_labels,
    manifest,
    model_labels,
    part_labels,
    part_selector,
    workload_selector,
)
from components.kubernetes.manifests.workload import LOADER, loader_selector
from components.kubernetes.model import KubernetesModel, KubernetesPlan
from fleet_spec.governance_spec import TiersSpec

_HTTP_PORT, _HTTPS_PORT = 80, 443
_HTTPS = [{"ports": [{"protocol": "TCP", "port": _HTTPS_PORT}]}]


def _policy(
    plan: KubernetesPlan, name: str, selector: Mapping[str, str], labels: Mapping[str, str], **rules: list[Any]
) -> Manifest:
    types = [kind for kind in ("Ingress", "Egress") if kind.lower() in rules]
    spec = {"podSelector": {"matchLabels": dict(selector)} if selector else {}, "policyTypes": types, **rules}
    return manifest(
        "networking.k8s.io/v1", "NetworkPolicy", name, {"spec": spec}, labels=labels, namespace=plan.namespace
    )


def _from(selector: Mapping[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": dict(selector)}}


def _port(port: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port}]


def fleet_policies(plan: KubernetesPlan) -> list[Manifest]:
    """What holds for the whole namespace: nothing is allowed but to ask for addresses."""
    labels = fleet_labels(plan)
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return [
        _policy(plan, "default-deny", {}, labels, ingress=[], egress=[]),
        _policy(
            plan,
            "allow-dns",
            {PART_OF: "paddock"},
            labels,
            # Anywhere: with a DNS cache on each node the answer comes from an address of the node, not of a pod.
            egress=[{"ports": names}],
        ),
    ]


def model_policy(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """A model server answers the router and Prometheus, and opens connections only to fetch weights."""
    port = ENGINES[model.engine].port
    ingress: list[dict[str, Any]] = [{"from": [_from(part_selector(ROUTER))], "ports": _port(port)}]
    if plan.spec.monitoring.enabled and ENGINES[model.engine].serves_metrics:
        # Prometheus may be in any namespace, and its port is the server's own.
        ingress.append({"from": [{"namespaceSelector": {}, "podSelector": _PROMETHEUS}], "ports": _port(port)})
    egress = _HTTPS if plan.spec.kubernetes.network_policy.downloads and model.storage.mode != "image" else []
    # Each generation has its own: while one takes the place of another, both have to be reached.
    return _policy(
        plan,
        model.workload,
        workload_selector(model),
        model_labels(plan, model),
        ingress=ingress,
        egress=egress,
    )


_PROMETHEUS = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}


def loader_policy(plan: KubernetesPlan, model: KubernetesModel) -> Manifest:
    """The Job that fills a shared store only fetches."""
    selector = loader_selector(model)
    labels = {**fleet_labels(plan), **selector}
    return _policy(plan, f"{model.safe_name}-{LOADER}", selector, labels, ingress=[], egress=_HTTPS)


def router_policy(plan: KubernetesPlan) -> Manifest:
    """The router answers clients, asks model servers and Valkey, and may reach APIs outside where tiers name some."""
    egress: list[dict[str, Any]] = [
        {
            "to": [_from({COMPONENT: MODEL_COMPONENT, PART_OF: "paddock"})],
            "ports": [one for port in sorted({engine.port for engine in ENGINES.values()}) for one in _port(port)],
        }
    ]
    if plan.spec.valkey.mode == "fleet":
        egress.append({"to": [_from(part_selector(VALKEY))], "ports": _port(valkey.PORT)})
    elif plan.spec.valkey.mode == "given":
        # Where it is, only its Secret says.
        egress.append({"ports": [{"protocol": "TCP", "port": 1024, "endPort": 65535}]})
    ports = _tier_ports(plan.spec.tiers)
    if ports:
        egress.append({"ports": [one for port in ports for one in _port(port)]})
    return _policy(
        plan,
        ROUTER,
        part_selector(ROUTER),
        part_labels(plan, ROUTER),
        ingress=[{"from": _clients(plan), "ports": _port(router.PORT)}],
        egress=egress,
    )


def _tier_ports(tiers: TiersSpec) -> list[int]:
    """The ports on which tiers beyond the fleet answer."""
    urls = [*(tiers.cloud.urls if tiers.cloud is not None else ())]
    if tiers.commercial is not None:
        urls.append(tiers.commercial.url)
    found = {urlsplit(url).port or (_HTTP_PORT if url.startswith("http://") else _HTTPS_PORT) for url in urls}
    if tiers.cloud is not None and tiers.cloud.stack is not None:
        # By its way in from outside; or, in the same cluster, by its Service, behind which its pods have a port too.
        found |= {_HTTPS_PORT, _HTTP_PORT, router.PORT}
    return sorted(found)


def _clients(plan: KubernetesPlan) -> list[dict[str, Any]]:
    labels = plan.spec.kubernetes.network_policy.client_namespaces
    namespaces: dict[str, Any] = {"matchLabels": dict(labels)} if labels else {}
    return [{"namespaceSelector": namespaces}, {"podSelector": {}}]


def follower_policy(plan: KubernetesPlan) -> Manifest:
    """The Job that waits for the router asks its replicas, and nobody else."""
    return _policy(
        plan,
        following.FOLLOWER,
        part_selector(following.FOLLOWER),
        part_labels(plan, following.FOLLOWER),
        ingress=[],
        egress=[{"to": [_from(part_selector(ROUTER))], "ports": _port(router.PORT)}],
    )


def web_ui_policy(plan: KubernetesPlan) -> Manifest:
    """The web UI answers browsers and asks the router."""
    return _policy(
        plan,
        WEB_UI,
        part_selector(WEB_UI),
        part_labels(plan, WEB_UI),
        ingress=[{"from": _clients(plan), "ports": _port(web_ui.PORT)}],
        egress=[{"to": [_from(part_selector(ROUTER))], "ports": _port(router.PORT)}],
    )


def valkey_policy(plan: KubernetesPlan) -> Manifest:
    """Valkey answers the router alone."""
    return _policy(
        plan,
        VALKEY,
        part_selector(VALKEY),
        part_labels(plan, VALKEY),
        ingress=[{"from": [_from(part_selector(ROUTER))], "ports": _port(valkey.PORT)}],
        egress=[],
    )
