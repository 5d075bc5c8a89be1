"""The JSON Schemas in docs/reference are those of the code, and say what the loader says."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.schema import SCHEMA_DIRECTORY, rendered, schemas
from fleet_spec.stack_file import read_stack_file, stack_names

pytestmark = pytest.mark.unit
PROJECT = SCHEMA_DIRECTORY.parent.parent


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_kept_schema_is_fresh(name: str) -> None:
    kept = (SCHEMA_DIRECTORY / name).read_text(encoding="utf-8")
    assert kept == rendered(schemas()[name]), "run `make schemas`"


@pytest.mark.parametrize("stack", stack_names(PROJECT))
def test_every_shipped_stack_is_valid(stack: str) -> None:
    raw = read_stack_file(PROJECT, stack).raw
    load_spec(raw)
    jsonschema.validate(raw, schemas()["fleet-spec.schema.json"])


@pytest.mark.parametrize(
    "raw",
    [
        {"models": {"a": {"model": "gemma3:270m", "replicas": "three"}}},
        {"models": {"a": "gemma3:270m"}, "unknown": 1},
        {"models": {}},
        {"models": {"a": "gemma3:270m"}, "router": {"port": 0}},
    ],
)
def test_what_the_schema_refuses_the_loader_refuses(raw: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, schemas()["fleet-spec.schema.json"])
    with pytest.raises(SpecError):
        load_spec(raw)
