"""Networking: nothing is open to the world but by TLS and with a key, and pods hear whom they should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.rules.rule import Facts, Finding, Manifest, Rule, items, mapping, metadata, of_kind, pod_spec, where

_KEY_ASKING = frozenset({"router", "web-ui"})
"""The fleet's own Services that let nobody in without a key or a password."""


def _no_open_door(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        kind, spec = manifest.get("kind"), mapping(manifest.get("spec"))
        if kind == "Service" and spec.get("type") in ("LoadBalancer", "NodePort"):
            if not _is_internal(manifest):
                yield Finding(
                    where(manifest),
                    f"the type {spec['type']} opens it to the world with neither TLS nor a key",
                    "write ClusterIP, and lead in by ingress with a certificate",
                )
        elif kind == "Ingress":
            covered = {str(host) for entry in items(spec.get("tls")) for host in entry.get("hosts") or ()}
            for rule in items(spec.get("rules")):
                host = str(rule.get("host", ""))
                if not host or host not in covered:
                    yield Finding(
                        where(manifest), f"{host or 'every host'!r} has no certificate", "name it in spec.tls"
                    )
        if kind in ("Ingress", "HTTPRoute"):
            for service in sorted(_services(spec) - _KEY_ASKING):
                yield Finding(
                    where(manifest),
                    f"it leads to the Service {service}, which asks for no key",
                    "lead to the router, which does",
                )


def _is_internal(service: Manifest) -> bool:
    """Whether a cloud's annotation keeps the balancer inside its network."""
    annotations = mapping(metadata(service).get("annotations"))
    return any(
        str(annotations.get(key, "")).lower() in values
        for key, values in {
            "service.beta.kubernetes.io/aws-load-balancer-scheme": ("internal",),
            "service.beta.kubernetes.io/azure-load-balancer-internal": ("true",),
            "networking.gke.io/load-balancer-type": ("internal",),
        }.items()
    )


def _services(spec: Mapping[str, Any]) -> set[str]:
    """The Services that an Ingress or an HTTPRoute leads to."""
    routed = [ref for rule in items(spec.get("rules")) for ref in items(rule.get("backendRefs"))]
    backends = [mapping(spec.get("defaultBackend"))]
    for rule in items(spec.get("rules")):
        backends += [mapping(path.get("backend")) for path in items(mapping(rule.get("http")).get("paths"))]
    services = [*(mapping(one.get("service")) for one in backends), *routed]
    return {str(service["name"]) for service in services if service.get("name")}


def _network_policies(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    policies = of_kind(manifests, "NetworkPolicy")
    namespaces = {str(metadata(one).get("namespace", "")) for one in manifests if pod_spec(one) is not None}
    for namespace in sorted(namespaces):
        closed = any(
            str(metadata(one).get("namespace", "")) == namespace and _denies_by_default(mapping(one.get("spec")))
            for one in policies
        )
        if not closed:
            yield Finding(
                f"Namespace/{namespace}",
                "no network policy there refuses by default what is not allowed",
                "write kubernetes.networkPolicy.enabled: true",
            )


def _denies_by_default(spec: Mapping[str, Any]) -> bool:
    selects_all = not mapping(spec.get("podSelector"))
    return selects_all and "Ingress" in (spec.get("policyTypes") or ()) and not spec.get("ingress")


RULES = (
    Rule(
        "no-open-door",
        "Nothing is reached from outside without TLS and a key",
        "A model server on the open internet is found within hours, and works for strangers at your expense.",
        "mandatory",
        _no_open_door,
    ),
    Rule(
        "network-policies",
        "The pods' namespace refuses what no policy allows",
        "Without policies every pod of the cluster reaches the model servers, past keys, budgets and privacy.",
        "advisory",
        _network_policies,
        "fleet",
    ),
)
