"""The command lines and environments of the local target's processes. Pure: nothing is started here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from components.engines.llamacpp import setting_arguments
from components.engines.ollama import server_environment
from components.local.plan import LocalModel
from fleet_spec.platform_spec import RouterSpec

PORT_PLACEHOLDER = "{port}"
"""Replaced by the process's port, which the provider chooses once and keeps."""

# Modules are named as text: what builds a fleet never imports what uses it.
LLAMACPP_SERVER_MODULE = "components.local.llamacpp_server"
ROUTER_MODULE = "agent_runtime.router"


def llamacpp_command(model: LocalModel, weights_path: str) -> list[str]:
    """The command that serves a GGUF file with llama.cpp."""
    command = [
        *(sys.executable, "-m", LLAMACPP_SERVER_MODULE),
        *("--weights", weights_path),
        *("--model", model.served_name),
        *("--host", "127.0.0.1"),
        *("--port", PORT_PLACEHOLDER),
        *("--context", str(model.context_length)),
        *("--parallel", str(model.spec.parallel)),
        *setting_arguments(model.spec.serving),
    ]
    if model.prompting is not None:
        command += ["--chat-template", model.prompting.jinja]
        for stop in model.prompting.stop:
            command += ["--stop", stop]
    if "embedding" in model.capabilities:
        command.append("--embedding")
    for adapter in model.adapters:
        command += ["--lora", str(adapter.path)]
    return command


def ollama_command(binary: Path) -> list[str]:
    """The command that runs an Ollama server of the fleet's own."""
    return [str(binary), "serve"]


def ollama_store(stack_directory: Path, model: LocalModel) -> Path:
    """The folder in which the replicas of a model keep what Ollama pulled or made."""
    return stack_directory / "ollama" / model.safe_name


def ollama_environment(model: LocalModel, store: Path) -> Mapping[str, str]:
    """What that server is told: its address, its own store, and its limits.

    HOME is set because Ollama writes a key under it, whatever OLLAMA_MODELS says. NOPRUNE keeps a
    replica that starts from pruning blobs that another one, on the same store, is still fetching.
    """
    return {
        "HOME": str(store),
        "OLLAMA_HOST": f"127.0.0.1:{PORT_PLACEHOLDER}",
        "OLLAMA_MODELS": str(store / "models"),
        **server_environment(
            keep_alive=model.spec.keep_alive,
            parallel=model.spec.parallel,
            context_length=model.context_length,
            serving=model.spec.serving,
        ),
        # Ollama keeps a copy of the base in memory for each of its adapters.
        **({"OLLAMA_MAX_LOADED_MODELS": str(1 + len(model.adapters))} if model.adapters else {}),
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
    }


def router_command(contract_path: Path, secrets: Path, data: Path, router: RouterSpec) -> list[str]:
    """The command that runs the router on a contract file.

    Args:
        contract_path: The contract, which it follows.
        secrets: The folder with its keys, which it follows too.
        data: The folder for what it has to remember.
        router: What the config says of it.
    """
    command = [
        *(sys.executable, "-m", ROUTER_MODULE),
        *("--fleet", str(contract_path)),
        *("--secrets", str(secrets)),
        *("--data", str(data)),
        *("--host", router.host),
        *("--port", PORT_PLACEHOLDER),
    ]
    if router.workers > 1:
        command += ["--workers", str(router.workers)]
    return command
