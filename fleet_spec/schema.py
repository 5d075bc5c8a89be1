"""The JSON Schemas of spec and contract, made from the code. ``python -m fleet_spec.schema`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from fleet_spec.contract import FleetContract
from fleet_spec.spec import FleetSpec

SCHEMA_DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "reference"


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by its file's name."""
    spec = FleetSpec.model_json_schema(by_alias=True, mode="validation")
    # A contract's reader accepts fields that it does not know, in what it shares with the config as well.
    contract = _open(FleetContract.model_json_schema(by_alias=True, mode="serialization"))
    return {"fleet-spec.schema.json": spec, "fleet-contract-v1.schema.json": contract}


def _open(node: Any) -> Any:
    if isinstance(node, list):
        return [_open(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("dict[str, Any]", node)
    return {
        key: True if key == "additionalProperties" and value is False else _open(value) for key, value in found.items()
    }


def rendered(schema: dict[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def main() -> None:
    """Write every schema into docs/reference."""
    SCHEMA_DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (SCHEMA_DIRECTORY / name).write_text(rendered(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
