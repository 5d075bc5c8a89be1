"""The engines that can serve a model on a cluster. A new one is a module here and a line in this table."""

from __future__ import annotations

from components.kubernetes.manifests.engines.engine import Engine
from components.kubernetes.manifests.engines.ollama import OLLAMA
from components.kubernetes.manifests.engines.vllm import VLLM
from components.kubernetes.model import EngineName

ENGINES: dict[EngineName, Engine] = {"ollama": OLLAMA, "vllm": VLLM}
