"""Images that are made here: no registry is asked for anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers.podman import LIMITS, Podman, own_podman
from tests.programs import REPOSITORY, ollama_binary

ROUTER, OLLAMA = "localhost/paddock-router:1", "localhost/ollama:1"
CONTEXT = ("Dockerfile", ".dockerignore", "pyproject.toml", "docker", "tools", "fleet_spec", "agent_runtime")


@dataclass(frozen=True)
class RouterBuild:
    """The router's image, and what it was made from."""

    podman: Podman
    checkout: Path
    """A copy of the checkout, which nobody changes meanwhile."""
    base: str
    image_id: str
    sbom: Path

    def build(self, *options: str) -> str:
        """Build it once more, and give the new image's id."""
        return build_router(self.podman, self.checkout, self.base, *options)


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    with own_podman() as podman:
        yield podman


@pytest.fixture(scope="session")
def base(podman: Podman) -> str:
    return podman.tool("image_base.sh")


@pytest.fixture(scope="session")
def router_build(podman: Podman, base: str, tmp_path_factory: pytest.TempPathFactory) -> RouterBuild:
    checkout = tmp_path_factory.mktemp("checkout")
    for name in CONTEXT:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout)
    sbom = checkout.parent / "sbom.json"
    image_id = build_router(podman, checkout, base, "--sbom", str(sbom))
    return RouterBuild(podman, checkout, base, image_id, sbom)


def build_router(podman: Podman, checkout: Path, base: str, *options: str) -> str:
    told = podman.tool(
        str(checkout / "tools" / "router_image.sh"), "--base", base, *options, SOURCE_DATE_EPOCH="1700000000"
    )
    return told.split()[1]


@pytest.fixture(scope="session")
def ollama_image(podman: Podman, base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Real Ollama where the official image has it."""
    context = tmp_path_factory.mktemp("ollama")
    shutil.copy(ollama_binary(), context / "ollama")
    (context / "Dockerfile").write_text(f'FROM {base}\nCOPY ollama /bin/ollama\nENTRYPOINT ["/bin/ollama"]\n')
    podman.run("build", *LIMITS, "--tag", OLLAMA, str(context))
    return OLLAMA
