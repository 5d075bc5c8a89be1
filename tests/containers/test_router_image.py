"""The router's image, really built: by whom it runs, what is in it, what is not, and that it is the same every time."""

from __future__ import annotations

import json
import re

import pytest

from tests.containers.conftest import ROUTER, RouterBuild
from tests.containers.podman import LIMITS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def inside(build: RouterBuild, *command: str) -> str:
    """What a command in the image prints."""
    return build.podman.text(
        "run", "--rm", *LIMITS, "--network", "none", "--entrypoint", command[0], ROUTER, *command[1:]
    )


def contents(build: RouterBuild, image: str) -> dict[str, object]:
    """The digests of an image's layers, and everything that it says of how it is run.

    Its own id is left out: podman writes the random names of its steps into the history.
    """
    found = json.loads(build.podman.text("image", "inspect", image))[0]
    return {key: found[key] for key in ("RootFS", "Config", "Created", "Architecture", "Os", "Healthcheck")}


def test_a_second_build_gives_the_same_layers(router_build: RouterBuild) -> None:
    second = router_build.build("--no-cache", "--tag", "localhost/again:1")
    assert contents(router_build, second) == contents(router_build, router_build.image_id)


def test_it_runs_as_nobody_in_particular_and_says_what_it_is(router_build: RouterBuild) -> None:
    image = json.loads(router_build.podman.text("image", "inspect", ROUTER))[0]
    assert image["Config"]["User"] == "1000:1000"
    assert image["Config"]["StopSignal"] == "SIGTERM"
    assert "/healthz" in str(image["Healthcheck"])
    labels = {name.rpartition(".")[2]: value for name, value in image["Labels"].items() if "opencontainers" in name}
    version = re.search(r'^version = "(.+)"$', (router_build.checkout / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert labels["title"] == "paddock-router"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == version[1]
    assert labels["revision"] == "unknown", "this copy has no history"
    assert image["Created"].startswith("2023-11-14T22:13:20"), "the time that the build was given"


def test_nothing_of_the_program_can_be_changed_by_it_and_no_compiler_is_there(router_build: RouterBuild) -> None:
    assert inside(router_build, "id", "-u") == "1000"
    assert inside(router_build, "find", "/opt/paddock", "-writable", "-not", "-type", "l") == ""
    compilers = "cc gcc g++ clang ld make cargo rustc uv cyclonedx-py"
    assert inside(router_build, "bash", "-c", f"for one in {compilers}; do command -v $one; done; true") == ""


def test_the_list_of_what_is_in_it_is_inside_and_beside_it_and_true(router_build: RouterBuild) -> None:
    text = inside(router_build, "cat", "/opt/paddock/sbom.cdx.json")
    assert text == router_build.sbom.read_text().strip()
    sbom = json.loads(text)
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {f"{one['name']}=={one['version']}".lower() for one in sbom["components"]}
    script = "import importlib.metadata as m; print('\\n'.join(f'{d.name}=={d.version}' for d in m.distributions()))"
    assert listed == set(inside(router_build, "python", "-c", script).lower().splitlines())
    locked = (router_build.checkout / "docker" / "router.lock").read_text().lower()
    for one in listed:
        assert re.search(rf"^{re.escape(one.replace('_', '-'))}[ \\]", locked, re.MULTILINE), one
    assert all(one["purl"].startswith("pkg:pypi/") for one in sbom["components"])
