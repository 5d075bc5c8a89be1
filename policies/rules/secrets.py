"""Secrets: none stands in plain text where everybody reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from policies.rules import docker
from policies.rules.rule import (
    SECRET,
    Facts,
    Finding,
    Manifest,
    Rule,
    containers,
    is_known,
    items,
    mapping,
    pod_spec,
    where,
)

_NAMES = re.compile(
    r"(^|[_-])(password|passwd|passphrase|secret(_?key)?|token|api_?key|access_?key|private_?key|credentials?)$", re.I
)
_VALUES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bhf_[A-Za-z0-9]{30,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|://[^/\s:@]+:[^/\s:@]+@"
)
"""What gives keys away: PEM, AWS, GitHub, Hugging Face, OpenAI and its likes, passwords in addresses."""


def _no_plain_secrets(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    fix = "keep it in a Secret and take it from there with valueFrom or a volume"
    for manifest in manifests:
        for container in containers(pod_spec(manifest) or {}):
            for variable in items(container.get("env")):
                name, value = str(variable.get("name", "")), variable.get("value")
                # Two empty quotes are a setting switched off, not a password.
                if value and _tells(name, str(value)):
                    yield Finding(where(manifest), f"{container.get('name')} has {name} in plain text", fix)
            for argument in [*(container.get("command") or ()), *(container.get("args") or ())]:
                if _VALUES.search(str(argument)):
                    yield Finding(where(manifest), f"{container.get('name')} has a secret in an argument", fix)
        for name, value in docker.texts(manifest):
            if _tells(name, value):
                what = f"it has {name} in plain text" if name else "it has a secret in an argument"
                yield Finding(where(manifest), what, "put it into a file of the container with an upload")
        if manifest.get("kind") == "ConfigMap":
            for key, value in mapping(manifest.get("data")).items():
                if _tells(key, str(value)):
                    yield Finding(where(manifest), f"its entry {key} holds a secret in plain text", fix)


def _tells(name: str, value: str) -> bool:
    if value == SECRET or not is_known(value):
        return False
    return _NAMES.search(name) is not None or _VALUES.search(value) is not None


RULES = (
    Rule(
        "no-plain-secrets",
        "No secret stands in plain text",
        "Everybody who may look at a pod reads it, and it stays in histories and backups for years.",
        "mandatory",
        _no_plain_secrets,
    ),
)
