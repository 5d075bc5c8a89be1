"""Writes the JSON Schemas of custom resources that the tests hold manifests against.

They come out of the CustomResourceDefinitions that these projects publish as Go modules, all under the Apache
License 2.0. Descriptions are left out, and so are rules in CEL. Keys that a definition does not know are made
a mistake, as a cluster's strict field validation makes them one.

    python tools/crd_schemas.py    needs `go` and a Go module proxy
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

OUT = Path(__file__).resolve().parents[1] / "tests" / "unit" / "kubernetes" / "crds"

SOURCES = {
    "sigs.k8s.io/karpenter@v1.8.0": ["pkg/apis/crds/karpenter.sh_nodepools.yaml"],
    "github.com/kedacore/keda/v2@v2.21.0": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    "sigs.k8s.io/gateway-api@v1.4.0": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
}
WANTED_VERSIONS = {"NodePool": "v1", "ScaledObject": "v1alpha1", "HTTPRoute": "v1", "PodMonitor": "v1"}


def strict(schema: Any, *, whole: bool = True) -> Any:
    """A schema without what only documents or steers the server, and with unknown keys refused.

    ``whole`` is False for an alternative (anyOf and the like), which names only the keys that it is about.
    """
    if isinstance(schema, list):
        return [strict(one, whole=whole) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: strict(one) for name, one in value.items()}
        elif key not in ("description", "default", "format") and not key.startswith("x-kubernetes"):
            plain = key in ("enum", "required", "pattern")
            kept[key] = value if plain else strict(value, whole=key not in ("anyOf", "oneOf", "allOf", "not"))
    if whole and "properties" in kept and "additionalProperties" not in kept:
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields", False)
        if not open_ended:
            kept["additionalProperties"] = False
    return kept


def main() -> None:
    """Fetch the definitions and write a schema for each kind."""
    for module, paths in SOURCES.items():
        found = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=True)
        directory = Path(json.loads(found.stdout)["Dir"])
        for path in paths:
            definition = yaml.safe_load((directory / path).read_text(encoding="utf-8"))
            kind = definition["spec"]["names"]["kind"]
            wanted = WANTED_VERSIONS.get(kind, "v1")
            version = next(one for one in definition["spec"]["versions"] if one["name"] == wanted)
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"].pop("status", None)
            schema["properties"]["metadata"] = {"type": "object"}
            origin = {"$comment": f"Derived from {path} of {module}, Apache-2.0."}
            name = f"{definition['spec']['group']}_{version['name']}_{kind}.json"
            (OUT / name).write_text(json.dumps({**origin, **schema}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
