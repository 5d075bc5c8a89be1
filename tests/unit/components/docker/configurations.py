"""Fleets for the Docker target, one for each thing that it can do."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from components.docker.contract import build_contract
from components.docker.describe import describe
from components.docker.description import DockerFleetDescription
from components.docker.model import DockerPlan
from components.docker.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.loading import load_spec

ROOT = Path(__file__).resolve().parents[4]
IMAGE = "registry.example.com/paddock:1.0.0"
GGUF_SHA256 = "ab" * 32
API_KEY = "not-" + "a-real-key"
TOKEN = "hf_" + "not-a-real-token"
LLAMACPP = {"images": {"llamacpp": {"tag": "server-b6000"}}}


def fleet(**changes: Any) -> dict[str, Any]:
    """One model on the CPU and the router; ``changes`` in place of sections."""
    return {
        "target": "docker",
        "models": {"assistant": {"model": "llama3.2:3b"}},
        "aliases": {"default": "assistant"},
        "router": {"image": IMAGE},
        **changes,
    }


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "cpu": fleet(),
    "replicas": fleet(models={"assistant": {"model": "llama3.2:3b", "replicas": 3, "parallel": 4}}),
    "web ui": fleet(webUi={"enabled": True, "port": 3300}),
    "open to all": fleet(router={"image": IMAGE, "host": "0.0.0.0", "port": 8181, "workers": 2}),
    "nvidia": fleet(
        models={
            "llama": {"model": "llama3.1:8b", "gpu": "nvidia-l4", "replicas": 2},
            "code": {"model": "codellama:13b", "gpu": {"type": "nvidia-l4", "count": 2}},
        },
        aliases={"default": "llama"},
    ),
    "amd": fleet(models={"assistant": {"model": "llama3.1:8b", "gpu": "amd-mi300x"}}, docker={"gpuGroups": [44, 992]}),
    "vllm": fleet(
        models={
            "assistant": {
                "model": "llama3.1:8b",
                "engine": "vllm",
                "gpu": {"type": "nvidia-a100-80gb", "count": 2},
                "vllm": {"sharedMemory": "8Gi"},
            }
        },
        docker={"gpuIds": ["GPU-aaaa", "GPU-bbbb"], "huggingFaceToken": TOKEN},
    ),
    "llama.cpp": fleet(models={"assistant": {"model": "gemma3:1b", "engine": "llamacpp"}}, docker=LLAMACPP),
    "own file": fleet(
        models={
            "mine": {
                "model": "gemma3:270m",
                "engine": "llamacpp",
                "weights": {"path": "/srv/mine.gguf", "sha256": GGUF_SHA256},
                "resources": {"limits": {"cpu": "1500m", "memory": "3G"}},
            },
            "ours": {
                "model": "gemma3:270m",
                "engine": "ollama",
                "weights": {"path": "/srv/$ours.gguf", "sha256": GGUF_SHA256},
            },
        },
        aliases={"default": {"mine": 1, "ours": 1}},
        docker=LLAMACPP,
    ),
    "tiers": fleet(
        tiers={
            "commercial": {
                "url": "https://api.example.com/v1",
                "apiKey": API_KEY,
                "models": {"assistant": "big"},
                "usdPerThousandTokens": 0.03,
            }
        }
    ),
}


@cache
def planned(name: str) -> DockerPlan:
    return plan_fleet(load_spec(CONFIGURATIONS[name]), "test", load_catalogue(), ROOT)


def described(name: str) -> DockerFleetDescription:
    return describe(planned(name))


def contract_text(name: str) -> str:
    return build_contract(planned(name)).to_json()
