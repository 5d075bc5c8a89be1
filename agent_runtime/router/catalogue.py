"""The lists and descriptions that clients ask for, made from the contract."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from agent_runtime.router.fleet_state import FleetState, ModelState
from agent_runtime.router.weights import Weights, weights_of

OLLAMA_VERSION = "0.17.4"
"""The version of Ollama's API that the router speaks. Clients switch features on by it."""

_FAR_AWAY = datetime(2318, 1, 1, tzinfo=UTC).isoformat().replace("+00:00", "Z")
"""When a model that its engine never unloads is unloaded; Ollama writes such a date too."""

_CAPABILITIES = {
    "chat": "completion",
    "completion": "completion",
    "tools": "tools",
    "vision": "vision",
    "thinking": "thinking",
    "embedding": "embedding",
}


def with_tag(name: str) -> str:
    """A model's name as Ollama lists it, which is never without a tag."""
    return name if ":" in name else f"{name}:latest"


def tags(named: list[tuple[str, ModelState]], since: str) -> dict[str, Any]:
    """The body of /api/tags."""
    return {"models": [_listed(name, model) | {"modified_at": since} for name, model in named]}


def ps_entry(model: ModelState) -> dict[str, Any]:
    """A line of /api/ps for an engine that keeps its model loaded."""
    return {
        **_listed(model.name, model),
        "expires_at": _FAR_AWAY,
        "size_vram": 0,
        "context_length": model.entry.context_length,
    }


def show(model: ModelState, since: str) -> dict[str, Any]:
    """The body of /api/show for an engine that has no such thing."""
    family = _family(model)
    return {
        "modelfile": f"# {model.entry.model}, served by {model.entry.engine}\nFROM {model.entry.model}\n",
        "parameters": f"num_ctx                        {model.entry.context_length}",
        "template": "{{ .Prompt }}",
        "details": _details(model, weights_of(model.entry)),
        "model_info": {
            "general.architecture": family,
            "general.basename": model.entry.model.partition(":")[0],
            f"{family}.context_length": model.entry.context_length,
        },
        "capabilities": _capabilities(model),
        "modified_at": since,
    }


def openai_models(named: list[tuple[str, ModelState]], created: int) -> dict[str, Any]:
    """The body of /v1/models."""
    return {"object": "list", "data": [openai_model(name, model, created) for name, model in named]}


def openai_model(name: str, model: ModelState, created: int) -> dict[str, Any]:
    """One model of /v1/models."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "paddock",
        "paddock": {
            "model": model.entry.model,
            "engine": model.entry.engine,
            "tier": model.entry.tier,
            "context_length": model.entry.context_length,
            "capabilities": list(model.entry.capabilities),
        },
    }


def readiness(fleet: FleetState, *, problem: str | None, draining: bool) -> tuple[int, dict[str, Any]]:
    """Status and body of /readyz."""
    models = {
        name: {
            "up": sum(replica.endpoint.health == "up" for replica in model.replicas),
            "endpoints": {
                replica.endpoint.url: replica.endpoint.health
                + (f": {replica.endpoint.problem}" if replica.endpoint.problem else "")
                for replica in model.replicas
            },
        }
        for name, model in fleet.models.items()
    }
    up = any(endpoint.health == "up" for endpoint in fleet.endpoints.values())
    ready = up and not draining
    reason = "draining" if draining else None if up else "no endpoint answers"
    body: dict[str, Any] = {"ready": ready, "stack": fleet.stack, "models": models}
    body["contract"] = {"ok": problem is None, **({"problem": problem} if problem else {})}
    if reason:
        body["reason"] = reason
    return (200 if ready else 503), body


def _listed(name: str, model: ModelState) -> dict[str, Any]:
    shown = with_tag(name)
    # Ollama's digest is that of a model's manifest, which no other engine has: here it names engine and model, and
    # changes when one of them does.
    digest = hashlib.sha256(f"{model.entry.engine}/{model.entry.model}".encode()).hexdigest()
    weights = weights_of(model.entry)
    return {
        "name": shown,
        "model": shown,
        "size": weights.size_bytes,
        "digest": digest,
        "details": _details(model, weights),
    }


def _details(model: ModelState, weights: Weights) -> dict[str, Any]:
    family = _family(model)
    _, _, tag = model.entry.model.partition(":")
    size = next((part for part in tag.split("-") if part[:1].isdigit()), "")
    return {
        "parent_model": "",
        "format": "gguf" if model.entry.engine in ("llamacpp", "ollama") else "safetensors",
        "family": family,
        "families": [family],
        "parameter_size": weights.parameter_size or size.upper(),
        "quantization_level": weights.quantization,
    }


def _family(model: ModelState) -> str:
    return model.entry.model.rpartition("/")[2].partition(":")[0] or "unknown"


def _capabilities(model: ModelState) -> list[str]:
    found = [_CAPABILITIES[name] for name in model.entry.capabilities if name in _CAPABILITIES]
    return list(dict.fromkeys(found))
