"""The compose file and the Pulumi resources of a fleet mean the same."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.docker.compose import COMPOSE_FILE, render_compose
from tests.unit.components.docker.configurations import CONFIGURATIONS, contract_text, described
from tests.unit.components.docker.meaning import of_compose, of_resources
from tests.unit.components.docker.recording import (
    CONTAINER,
    NETWORK,
    REMOTE_IMAGE,
    VOLUME,
    behind,
    inputs,
    recorded,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_compose_file_means_what_the_resources_mean(name: str) -> None:
    run = recorded(name)
    containers = list(inputs(run, CONTAINER).values())
    for one in containers:
        for upload in one.get("uploads", []):
            assert upload.pop("permissions") == "0400"
    images = {f"{resource}-image-id": one["name"] for resource, one in inputs(run, REMOTE_IMAGE).items()}
    registered = of_resources(
        containers, list(inputs(run, NETWORK).values()), list(inputs(run, VOLUME).values()), images, behind(run)
    )

    fleet = described(name)
    document = yaml.safe_load(render_compose(fleet, {}).files[COMPOSE_FILE])
    # What is in a file with a secret is somebody else's to say; that there is one, and where, is the fleet's.
    secrets = {
        file: content
        for one in registered["containers"].values()
        for file, content in one["files"].items()
        if file.startswith("/run/secrets/")
    }
    contents = {path.rpartition("/")[2]: content for path, content in secrets.items()}
    rendered = of_compose(document, {"contract.json": contract_text(name), **contents})
    assert rendered["networks"] == registered["networks"]
    assert rendered["volumes"] == registered["volumes"]
    assert rendered["containers"].keys() == registered["containers"].keys()
    for container, said in rendered["containers"].items():
        assert said == registered["containers"][container], container


def test_a_difference_would_be_seen() -> None:
    document: dict[str, Any] = yaml.safe_load(render_compose(described("cpu"), {}).files[COMPOSE_FILE])
    contents = {"contract.json": "", "router-key": ""}
    before = of_compose(document, contents)
    document["services"]["router"]["cap_drop"] = []
    assert of_compose(document, contents) != before
    document["services"]["router"]["privileged"] = True
    with pytest.raises(AssertionError, match="privileged"):
        of_compose(document, contents)
