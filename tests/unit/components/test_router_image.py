"""The router's image, built by the stack."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.router_image import RouterImage
from fleet_spec.errors import BadInputError
from fleet_spec.platform_spec import RouterBuildSpec
from tests.mock_engine import BUILT_IMAGE, Run, run_program

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[3]
WHERE = {"registry": "registry.example.com:5000", "repository": "llm/paddock", "tag": "1.2.3"}
PASSWORD = "not-" + "a-real-password"


def build(*, project: Path = ROOT, preview: bool = False, **changes: Any) -> Run:
    def program() -> None:
        spec = RouterBuildSpec.model_validate({**WHERE, **changes})
        pulumi.export("image", RouterImage("router-image", build=spec, project=project).reference)

    return run_program(program, preview=preview)


def image(run: Run) -> dict[str, Any]:
    return run.of_type("docker-build:index:Image")["router-image"].inputs


def test_it_is_built_from_the_projects_dockerfile_and_pushed() -> None:
    run = build(platforms=["linux/amd64", "linux/arm64"])
    inputs = image(run)
    assert inputs["tags"] == ["registry.example.com:5000/llm/paddock:1.2.3"]
    assert inputs["dockerfile"]["location"] == str(ROOT / "Dockerfile")
    assert inputs["context"]["location"] == str(ROOT)
    assert inputs["platforms"] == ["linux/amd64", "linux/arm64"]
    assert (inputs["push"], inputs["load"]) == (True, False)
    assert inputs["registries"] == [], "as Docker is logged in"
    assert run.outputs["image"] == BUILT_IMAGE, "the digest: a new build means new pods"


def test_a_preview_builds_nothing() -> None:
    run = build(preview=True)
    assert image(run)["buildOnPreview"] is False
    assert "image" not in run.outputs


def test_an_image_that_is_not_pushed_is_known_by_its_tag() -> None:
    run = build(push=False)
    assert (image(run)["push"], image(run)["load"]) == (False, True)
    assert run.outputs["image"] == "registry.example.com:5000/llm/paddock:1.2.3"


def test_a_registrys_password_is_secret() -> None:
    run = build(login={"username": "ci", "password": PASSWORD})
    registries = image(run)["registries"]
    # The mocks show the engine's mark of a secret: a mapping with the mark, and the value beside it.
    assert set(registries) > {"value"}, "a password reaches the engine without its mark"
    (login,) = registries["value"]
    assert login == {"address": "registry.example.com:5000", "username": "ci", "password": PASSWORD}
    assert PASSWORD not in json.dumps(run.outputs)


def test_what_is_missing_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match=r"there is no .*Dockerfile"):
        build(project=tmp_path)
    monkeypatch.setitem(sys.modules, "pulumi_docker_build", None)
    with pytest.raises(BadInputError, match=r"pip install 'paddock\[build\]'"):
        build()


@pytest.mark.parametrize(
    "changes",
    [
        {"registry": "https://registry.example.com"},
        {"repository": "Upper/Case"},
        {"tag": "a b"},
        {"push": False, "platforms": ["linux/amd64", "linux/arm64"]},
        {"platforms": ["windows/amd64"]},
    ],
)
def test_what_no_registry_takes_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="RouterBuildSpec"):
        RouterBuildSpec.model_validate({**WHERE, **changes})
