"""Manifests held against the schemas of Kubernetes and of custom resources, unknown fields refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate.utils as upstream
from jsonschema.protocols import Validator
from referencing import Registry, Resource

from components.kubernetes.manifests.meta import Manifest

VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
CRDS = Path(__file__).parent / "crds"
_FOLDER = "kubernetes-json-schema/v{version}.0-local-strict"

CUSTOM_FIELDS: dict[tuple[str, str], dict[str, set[str]]] = {
    # These definitions are published nowhere that the schemas could be made from: the fields are the documented ones.
    ("karpenter.k8s.aws/v1", "EC2NodeClass"): {
        "required": {"role", "amiSelectorTerms", "subnetSelectorTerms", "securityGroupSelectorTerms"},
        "optional": {"metadataOptions", "blockDeviceMappings"},
    },
    ("karpenter.azure.com/v1beta1", "AKSNodeClass"): {"required": set(), "optional": {"imageFamily", "osDiskSizeGB"}},
    ("cloud.google.com/v1", "ComputeClass"): {
        "required": {"priorities"},
        "optional": {"nodePoolAutoCreation", "whenUnsatisfiable", "autoscalingPolicy"},
    },
}


@cache
def _validator(version: str, kind: str, group_version: str) -> Validator:
    folder = _FOLDER.format(version=version)
    group, _, api = group_version.rpartition("/")
    short = f"{group.partition('.')[0]}-{api}" if group else api
    schema = upstream.schema_contents(f"{folder}/{kind.lower()}-{short}.json", version)
    definitions = _definitions(version)
    registry: Any = Resource.from_contents(schema) @ Registry()
    return jsonschema.Draft202012Validator(schema, registry=definitions @ registry)


@cache
def _definitions(version: str) -> Any:
    folder = _FOLDER.format(version=version)
    return Resource.from_contents(upstream.schema_contents(f"{folder}/_definitions.json", version))


@cache
def _custom(api_version: str, kind: str) -> Validator | None:
    path = CRDS / f"{api_version.replace('/', '_')}_{kind}.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8"))) if path.exists() else None


def is_custom(manifest: Manifest) -> bool:
    group = manifest["apiVersion"].rpartition("/")[0]
    return ("." in group and not group.endswith(".k8s.io")) or group == "gateway.networking.k8s.io"


def problems(manifest: Manifest, version: str) -> list[str]:
    """What is wrong with a manifest on that release of Kubernetes; nothing where it is right."""
    api_version, kind = manifest["apiVersion"], manifest["kind"]
    if not is_custom(manifest):
        return [
            f"{one.json_path}: {one.message}" for one in _validator(version, kind, api_version).iter_errors(manifest)
        ]
    validator = _custom(api_version, kind)
    if validator is not None:
        return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(manifest)]
    fields = CUSTOM_FIELDS[(api_version, kind)]
    given = set(manifest["spec"])
    missing, unknown = fields["required"] - given, given - fields["required"] - fields["optional"]
    return [f"missing {name}" for name in missing] + [f"unknown {name}" for name in unknown]
