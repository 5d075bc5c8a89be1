"""Who has the full Pulumi CLI uses it on the same project and state; here through the stand-in language host."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.checkout import Checkout
from tests.engine.conftest import Pulumi
from tests.programs import REPOSITORY

pytestmark = pytest.mark.engine
PulumiIn = Callable[[Path], Pulumi]


@pytest.fixture
def plain(checkout: Checkout, pulumi_in: PulumiIn) -> Pulumi:
    """The plain `pulumi` in the checkout, with what `paddock env` tells in its environment."""
    (checkout.directory / ".venv").symlink_to(REPOSITORY / ".venv")
    pulumi = pulumi_in(checkout.directory)
    for line in checkout.paddock("env").stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        pulumi.environment[name] = shlex.split(value)[0]
    del pulumi.environment["PULUMI_CONFIG_PASSPHRASE"]
    pulumi.environment["PYTHONPATH"] = str(REPOSITORY)
    return pulumi


def config_file(checkout: Checkout) -> tuple[str, str]:
    return ("--config-file", str(checkout.directory / ".paddock" / "dev" / "workspace" / "Pulumi.dev.yaml"))


def test_a_fleet_of_paddock_up_is_unchanged_for_plain_pulumi(checkout: Checkout, plain: Pulumi) -> None:
    fleet: dict[str, Any] = checkout.up()["fleet"]
    before = (checkout.directory / "Pulumi.dev.yaml").read_bytes()
    said = plain.run("preview", "--stack", "dev", "--expect-no-changes", *config_file(checkout))
    assert "unchanged" in said
    plain.run("up", "--yes", "--skip-preview", "--stack", "dev", "--expect-no-changes", *config_file(checkout))
    assert plain.outputs("--stack", "dev") == {"fleet": fleet, "fleetSecrets": "[secret]"}
    assert (checkout.directory / "Pulumi.dev.yaml").read_bytes() == before


def test_a_fleet_of_plain_pulumi_is_unchanged_for_paddock(checkout: Checkout, plain: Pulumi) -> None:
    plain.run("stack", "init", "dev")
    plain.run("up", "--yes", "--stack", "dev")
    assert set(checkout.records()) == {"assistant-0", "router"}
    again = checkout.up()
    assert again["changes"] == {}
    assert "Tokyo" in again["answer"]["text"]


def test_a_mistake_in_the_config_is_told_without_a_traceback(checkout: Checkout, plain: Pulumi) -> None:
    document = {"config": {"paddock:models": {"assistant": {"model": "gemma3:270n"}}, "paddock:modles": {}}}
    plain.run("stack", "init", "dev")
    path = checkout.directory / "Pulumi.dev.yaml"
    salt = yaml.safe_load(path.read_text())["encryptionsalt"]
    path.write_text(yaml.safe_dump({**document, "encryptionsalt": salt}))
    said = plain.run("up", "--yes", "--stack", "dev", exit_code=1)
    assert "gemma3:270n" in said
    assert "modles" in said
    assert "Traceback" not in said
    assert checkout.records() == {}
