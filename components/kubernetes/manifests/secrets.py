"""The Secrets that the fleet reads: which there are, and what has to be in them. Their values come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.kubernetes.manifests.meta import Manifest, fleet_labels, manifest
from components.kubernetes.model import KubernetesPlan
from components.tiers import SECRET_NAMES, needs_key
from fleet_spec.container_spec import SecretKeyRef

ROUTER_KEYS = SecretKeyRef(name="router-keys", key="default")
WEB_UI_SECRET = SecretKeyRef(name="web-ui-secret", key="session-key")
VALKEY_PASSWORD = SecretKeyRef(name="valkey-password", key="password")
TIER_KEYS = "tier-keys"
"""The Secret with an entry for each tier beyond the fleet that asks for a key."""


@dataclass(frozen=True)
class NeededSecret:
    """A Secret without which a pod does not start."""

    reference: SecretKeyRef
    purpose: str
    made_by_stack: bool
    """True where the stack makes the Secret; False for one of the user's own."""
    made_up: bool = field(default=True, kw_only=True)
    """Whether the stack makes the value up too; False where the config says it."""


def router_keys(plan: KubernetesPlan) -> SecretKeyRef:
    """Where a key for the router is."""
    return plan.spec.router.keys_secret or ROUTER_KEYS


def web_ui_secret(plan: KubernetesPlan) -> SecretKeyRef:
    """Where the web UI's session key is."""
    return plan.spec.web_ui.secret_key or WEB_UI_SECRET


def needed_secrets(plan: KubernetesPlan) -> list[NeededSecret]:
    """Every Secret that some manifest of the fleet names, but for those that log in to registries."""
    spec = plan.spec
    needed = [NeededSecret(router_keys(plan), "keys that clients show to the router", spec.router.keys_secret is None)]
    if spec.web_ui.enabled:
        own = spec.web_ui.secret_key is not None
        needed.append(NeededSecret(web_ui_secret(plan), "signs the web UI's sessions", not own))
    if spec.valkey.mode == "fleet":
        needed.append(NeededSecret(VALKEY_PASSWORD, "Valkey's password", made_by_stack=True))
    needed += [
        NeededSecret(SecretKeyRef(name=TIER_KEYS, key=key), purpose, made_by_stack=True, made_up=False)
        for key, purpose in tier_keys(plan).items()
    ]
    if spec.valkey.url_secret is not None:
        needed.append(NeededSecret(spec.valkey.url_secret, "the address of your Valkey or Redis", made_by_stack=False))
    token = spec.kubernetes.hugging_face_token
    if token is not None and any(model.engine == "vllm" for model in plan.models):
        needed.append(NeededSecret(token, "fetches gated models from Hugging Face", made_by_stack=False))
    if spec.ingress.enabled and spec.ingress.tls_secret is not None and spec.ingress.kind == "ingress":
        certificate = SecretKeyRef(name=spec.ingress.tls_secret, key="tls.crt")
        needed.append(NeededSecret(certificate, "the certificate of the ingress", made_by_stack=False))
    return needed


def tier_keys(plan: KubernetesPlan) -> dict[str, str]:
    """The entries of the Secret with the tiers' keys, and what each is for."""
    tiers = plan.spec.tiers
    found: dict[str, str] = {}
    if tiers.cloud is not None and needs_key(tiers.cloud):
        found[SECRET_NAMES["cloud"]] = "what the router shows to the cloud tier"
    if tiers.commercial is not None:
        found[SECRET_NAMES["commercial"]] = "what the router shows to the commercial tier"
    return found


def stack_secrets(plan: KubernetesPlan, values: Mapping[SecretKeyRef, Any]) -> list[Manifest]:
    """The Secrets that the stack makes.

    Args:
        plan: The fleet.
        values: What is in each entry, in base64. With ``data`` an entry that is no longer named goes; with
            ``stringData`` it would stay.
    """
    entries: dict[str, dict[str, Any]] = {}
    for one in needed_secrets(plan):
        if one.made_by_stack:
            entries.setdefault(one.reference.name, {})[one.reference.key] = values[one.reference]
    return [
        manifest(
            "v1",
            "Secret",
            name,
            {"type": "Opaque", "data": data},
            labels=fleet_labels(plan),
            namespace=plan.namespace,
        )
        for name, data in entries.items()
    ]
