"""Which images the fleet runs from, each pinned to a release and named in full."""

from __future__ import annotations

from components.docker.model import EngineName
from components.kubernetes.images import WEB_UI_IMAGE, engine_image
from fleet_spec.container_spec import EngineImage
from fleet_spec.docker_spec import DockerImages

__all__ = ["WEB_UI_IMAGE", "image_of", "qualified"]

LLAMACPP_REPOSITORY = "ghcr.io/ggml-org/llama.cpp"


def image_of(engine: EngineName, vendor: str | None, images: DockerImages) -> str | None:
    """The image of an engine for a vendor's GPUs; None where Paddock knows none and the config names none."""
    chosen: EngineImage = getattr(images, engine)
    if engine != "llamacpp":
        found = engine_image(engine, vendor, chosen)
        return None if found is None else qualified(found)
    # Its project tags builds, several a day, and no releases: which one is the user's to say.
    if chosen.tag is None and chosen.digest is None:
        return None
    name = chosen.repository or LLAMACPP_REPOSITORY
    name = f"{name}:{chosen.tag}" if chosen.tag is not None else name
    return qualified(f"{name}@{chosen.digest}" if chosen.digest is not None else name)


def qualified(image: str) -> str:
    """An image with the registry that Docker takes where none is named: others, such as Podman, ask or refuse.

    >>> qualified("ollama/ollama:0.17.4"), qualified("debian:12"), qualified("ghcr.io/a/b:1")
    ('docker.io/ollama/ollama:0.17.4', 'docker.io/library/debian:12', 'ghcr.io/a/b:1')
    """
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    if "." in first or ":" in first or first == "localhost":
        return image
    return f"docker.io/{image}"
