"""Which images the fleet runs from, each pinned to a release."""

from __future__ import annotations

from typing import Literal

from fleet_spec.container_spec import EngineImage

OLLAMA = ("ollama/ollama", "0.17.4")
OLLAMA_ROCM_TAG_SUFFIX = "-rocm"
VLLM = ("vllm/vllm-openai", "v0.33.0")
WEB_UI_IMAGE = "ghcr.io/open-webui/open-webui:v0.12.4"
VALKEY_IMAGE = "valkey/valkey:8.1.1"


def engine_image(engine: Literal["ollama", "vllm"], vendor: str | None, chosen: EngineImage) -> str | None:
    """The image of an engine for a vendor's GPUs; None where Paddock knows none and the config names none."""
    repository, tag = OLLAMA if engine == "ollama" else VLLM
    if vendor == "amd":
        if engine == "vllm" and (chosen.repository is None or (chosen.tag is None and chosen.digest is None)):
            return None
        tag += OLLAMA_ROCM_TAG_SUFFIX
    # A digest names one image alone: a tag of Paddock's own choice beside it would only mislead.
    shown_tag = chosen.tag or (None if chosen.digest is not None else tag)
    name = chosen.repository or repository
    if shown_tag is not None:
        name += f":{shown_tag}"
    return f"{name}@{chosen.digest}" if chosen.digest is not None else name
