"""What llama.cpp is told of the LoRA adapters that it holds beside a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_runtime.router.dialects.errors import RequestError
from fleet_spec.contract import AdapterScale, EngineName

_FIELD: Final = "lora"
_NONE: Final[Mapping[str, Any]] = {}


def scales_for(engine: EngineName, body: Mapping[str, Any], lora: Sequence[AdapterScale]) -> Mapping[str, Any]:
    """The fields that say how strongly each adapter works in a request; empty where the engine holds none.

    Every adapter is named, those of scale 0 too: llama.cpp keeps what a slot computed with another adapter where a
    request says nothing of adapters.

    Args:
        engine: Who is asked.
        body: The client's request.
        lora: What the contract says of the model.

    Raises:
        RequestError: 400, the client names adapters by itself, which are reached by their own names.
    """
    if engine == "llamacpp" and _FIELD in body:
        raise RequestError(400, "lora cannot be given: ask for the adapter by its name, as the model", param=_FIELD)
    if not lora:
        return _NONE
    return {_FIELD: [{"id": one.id, "scale": one.scale} for one in lora]}
