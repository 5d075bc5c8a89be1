"""The stack's config as the program gets it: secrets that stand in plain text are told, and never shown."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components.stack_config import load_stack_spec, plain_secrets
from fleet_spec.loading import load_spec
from tests.mock_engine import run_program

pytestmark = pytest.mark.unit
API_KEY = "not-" + "a-real-key"
MODELS = {"assistant": {"model": "gemma3:270m"}}
TIERS = {"commercial": {"url": "https://api.example.com/v1", "apiKey": API_KEY, "models": {"assistant": "m"}}}
LOGIN = {"username": "ci", "password": API_KEY}
BUILD = {"registry": "registry.example.com", "repository": "paddock", "tag": "1", "login": LOGIN}


def test_a_key_in_plain_text_is_told_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", told.append)
    config = {"paddock:models": json.dumps(MODELS), "paddock:tiers": json.dumps(TIERS)}

    def program() -> None:
        spec = load_stack_spec()
        assert spec.tiers.commercial is not None
        assert spec.tiers.commercial.api_key.get_secret_value() == API_KEY

    run_program(program, config=config)
    (warning,) = told
    assert "pulumi config set --secret --path paddock:tiers.commercial.apiKey" in warning
    assert "Pulumi.dev.yaml" in warning
    assert API_KEY not in warning


@pytest.mark.parametrize(
    ("sections", "secret_keys", "found"),
    [
        ({}, set(), []),
        ({"tiers": TIERS}, {"tiers"}, []),
        ({"tiers": {"cloud": {"urls": ["https://a.example/v1"]}}}, set(), []),
        ({"tiers": {"cloud": {"urls": ["https://a.example/v1"], "apiKey": "k"}}}, set(), ["tiers.cloud.apiKey"]),
        ({"router": {"build": BUILD}}, {"tiers"}, ["router.build.login.password"]),
        ({"router": {"build": BUILD}}, {"router"}, []),
    ],
)
def test_which_secrets_are_not_encrypted(sections: dict[str, Any], secret_keys: set[str], found: list[str]) -> None:
    assert plain_secrets(load_spec({"models": MODELS, **sections}), secret_keys) == found
