"""Images: what runs is what was tested, and comes from where it may."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from policies.rules import docker
from policies.rules.rule import Facts, Finding, Manifest, Rule, containers, is_known, items, mapping, pod_spec, where

_MOVING_TAGS = frozenset({"latest", "main", "master", "nightly", "dev", "edge", "stable"})


def _images(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every image that an object names, and by what part of it."""
    yield from docker.named_images(manifest)
    pod = pod_spec(manifest)
    if pod is None:
        return
    for container in containers(pod):
        yield str(container.get("name", "?")), str(container.get("image", ""))
    for volume in items(pod.get("volumes")):
        if "image" in volume:
            yield f"volume {volume.get('name', '?')}", str(mapping(volume["image"]).get("reference", ""))


def pinned(image: str) -> bool:
    """Whether an image stays what it is: it names a digest, or a tag that does not move."""
    if re.search(r"@sha256:[0-9a-f]{64}$", image):
        return True
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return bool(tag) and tag not in _MOVING_TAGS


def registry_allowed(image: str, allowed: Sequence[str]) -> bool:
    """Whether an image lies below one of the allowed places. Docker's short names mean docker.io."""
    first, slash, _ = image.partition("/")
    if not slash or ("." not in first and ":" not in first and first != "localhost"):
        image = f"docker.io/{image}" if slash else f"docker.io/library/{image}"
    return any(image == place or image.startswith(place.rstrip("/") + "/") for place in allowed)


def _pinned_images(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    del facts
    for manifest in manifests:
        for part, image in _images(manifest):
            if is_known(image) and not pinned(image):
                yield Finding(
                    where(manifest), f"{part} runs {image!r}, which moves", "name a release's tag or a digest"
                )


def _image_registries(manifests: Sequence[Manifest], facts: Facts) -> Iterator[Finding]:
    if facts.registries is None:
        return
    for manifest in manifests:
        for part, image in _images(manifest):
            if is_known(image) and not registry_allowed(image, facts.registries):
                yield Finding(
                    where(manifest),
                    f"{part} runs {image!r}, from none of {', '.join(facts.registries)}",
                    "mirror it there and name the mirror, or add its registry to policies.registries",
                )


RULES = (
    Rule(
        "pinned-images",
        "Every image is pinned",
        "A tag that moves brings untested code to the nodes that happen to pull next.",
        "mandatory",
        _pinned_images,
    ),
    Rule(
        "image-registries",
        "Images come from allowed registries",
        "What nobody vouches for runs beside everything else in the cluster.",
        "mandatory",
        _image_registries,
    ),
)
