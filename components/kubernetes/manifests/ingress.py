"""How the fleet is reached from outside: an Ingress with its certificate, or a route of a Gateway that exists."""

from __future__ import annotations

from typing import Any

from components.kubernetes.manifests.meta import ROUTER, WEB_UI, Manifest, fleet_labels, manifest
from components.kubernetes.model import KubernetesPlan

NAME = "fleet"

_PATHS = {
    # All that clients ask for, and not /metrics, which is read without a key inside the cluster.
    ROUTER: (("Exact", "/"), *(("Prefix", path) for path in ("/api", "/v1", "/healthz", "/readyz"))),
    WEB_UI: (("Prefix", "/"),),
}
"""What of a Service is reached from outside: kind of match and path."""


def _hosts(plan: KubernetesPlan) -> list[tuple[str, str]]:
    """Service and host, for everything that is reached from outside."""
    outside = plan.spec.ingress
    hosts = [(ROUTER, outside.host), (WEB_UI, outside.web_ui_host)]
    return [(service, host) for service, host in hosts if host is not None]


def outside(plan: KubernetesPlan) -> list[Manifest]:
    """Everything that leads in from outside; nothing where the fleet is for the cluster alone."""
    if not plan.spec.ingress.enabled:
        return []
    return [_ingress(plan)] if plan.spec.ingress.kind == "ingress" else _routes(plan)


def _ingress(plan: KubernetesPlan) -> Manifest:
    config = plan.spec.ingress
    hosts = _hosts(plan)
    spec: dict[str, Any] = {
        "tls": [{"hosts": [host for _, host in hosts], "secretName": config.tls_secret}],
        "rules": [
            {
                "host": host,
                "http": {
                    "paths": [
                        {
                            "path": path,
                            "pathType": kind,
                            "backend": {"service": {"name": service, "port": {"name": "http"}}},
                        }
                        for kind, path in _PATHS[service]
                    ]
                },
            }
            for service, host in hosts
        ],
    }
    if config.class_name is not None:
        spec["ingressClassName"] = config.class_name
    # A stream is passed on as it comes, for as long as it takes. Other controllers than nginx leave these alone.
    annotations = {
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-body-size": "32m",
        "nginx.ingress.kubernetes.io/ssl-redirect": "true",
        **config.annotations,
    }
    return manifest(
        "networking.k8s.io/v1",
        "Ingress",
        NAME,
        {"spec": spec},
        labels=fleet_labels(plan),
        namespace=plan.namespace,
        annotations=annotations,
    )


def _routes(plan: KubernetesPlan) -> list[Manifest]:
    config = plan.spec.ingress
    assert config.gateway is not None, "the checks ask for one"  # noqa: S101
    parent: dict[str, Any] = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": config.gateway.name,
        "namespace": config.gateway.namespace,
    }
    if config.gateway.section_name is not None:
        parent["sectionName"] = config.gateway.section_name
    return [
        manifest(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            service,
            {
                "spec": {
                    "parentRefs": [parent],
                    "hostnames": [host],
                    "rules": [
                        {
                            "matches": [
                                {"path": {"type": "Exact" if kind == "Exact" else "PathPrefix", "value": path}}
                                for kind, path in _PATHS[service]
                            ],
                            "backendRefs": [{"kind": "Service", "name": service, "port": 80}],
                            # No limit: a stream takes as long as it takes, and the router has limits of its own.
                            "timeouts": {"request": "0s"},
                        }
                    ],
                }
            },
            labels=fleet_labels(plan),
            namespace=plan.namespace,
            annotations=config.annotations or None,
        )
        for service, host in _hosts(plan)
    ]
