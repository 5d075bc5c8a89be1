"""Writes the JSON Schema of compose files that the tests hold the rendered ones against.

It comes out of the Go module of the project that Docker compose reads its files with, under the Apache License 2.0.
Descriptions are left out.

    python tools/compose_schema.py    needs `go` and a Go module proxy
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

MODULE = "github.com/compose-spec/compose-go/v2@v2.16.2"
OUT = Path(__file__).resolve().parents[1] / "tests" / "unit" / "components" / "docker" / "compose-spec.json"


def without_descriptions(value: Any) -> Any:
    """A schema without its descriptions; a property may be called so and stays."""
    if isinstance(value, dict):
        return {
            key: without_descriptions(item)
            for key, item in value.items()
            if not (key == "description" and isinstance(item, str))
        }
    return [without_descriptions(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    """Fetch the module and write the schema."""
    told = subprocess.run(["go", "mod", "download", "-json", MODULE], check=True, capture_output=True, text=True)
    schema = json.loads((Path(json.loads(told.stdout)["Dir"]) / "schema" / "compose-spec.json").read_text("utf-8"))
    OUT.write_text(json.dumps(without_descriptions(schema), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
