"""The LoRA adapters of a model on this machine: which file each is, and what the router is told of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.local.file_hash import remembered_sha256
from fleet_spec.adapters import OLLAMA_WITHOUT_ADAPTERS, read_adapter, require_base
from fleet_spec.contract import AdapterScale, ModelEndpoints
from fleet_spec.errors import BadInputError, Problem
from fleet_spec.model_spec import ModelSpec
from fleet_spec.sizing.gguf_file import read_gguf_header

_FINGERPRINT_DIGITS = 8


@dataclass(frozen=True)
class LocalAdapter:
    """An adapter, decided."""

    name: str
    """What clients ask for; also what Ollama calls it."""
    path: Path
    sha256: str
    scale: float
    size_bytes: int


def plan_adapters(
    name: str,
    spec: ModelSpec,
    engine: Literal["llamacpp", "ollama"],
    base: Path | None,
    capabilities: tuple[str, ...],
    project: Path,
) -> tuple[list[LocalAdapter], list[Problem]]:
    """The adapters of a model, and what keeps some of them from being served.

    Args:
        name: The model's name.
        spec: What the config says of it.
        engine: What serves it.
        base: Its weights as a file; None where Ollama pulls them or a package holds them.
        capabilities: What the model can do.
        project: The project's directory, which relative paths begin at.
    """
    adapters: list[LocalAdapter] = []
    problems: list[Problem] = []
    for adapter, said in spec.adapters.items():
        key = f"models.{name}.adapters.{adapter}"
        path = (project / Path(said.source).expanduser()).resolve()
        if not path.is_file():
            problems.append(Problem(f"{key}.source", f"there is no file {path}", "correct the path"))
            continue
        if "embedding" in capabilities:
            problems.append(Problem(key, "adapters of embedding models are not served here", "remove it"))
            continue
        try:
            read = read_adapter(path)
            if base is not None:
                require_base(read, read_gguf_header(base))
        except BadInputError as error:
            message, _, fix = str(error).partition(" fix: ")
            problems.append(Problem(f"{key}.source", message, fix or "name an adapter of this model"))
            continue
        if engine == "ollama" and read.family in OLLAMA_WITHOUT_ADAPTERS:
            problems.append(
                Problem(key, f"Ollama applies no adapters to {read.family} models", "write engine: llamacpp")
            )
        elif engine == "ollama" and said.scale != 1:
            message = f"{said.scale:g}: Ollama applies an adapter as it is"
            fix = "remove it, and give the adapter that strength: `paddock models adapter prepare --scale`"
            problems.append(Problem(f"{key}.scale", message, fix))
        else:
            digest = remembered_sha256(path, lambda _: None)
            adapters.append(LocalAdapter(adapter, path, digest, said.scale, path.stat().st_size))
    return adapters, problems


def fingerprint(adapters: Iterable[LocalAdapter]) -> str:
    """Short text that changes with the adapters that a server holds, or their order; empty where there are none.

    The server goes by it: one with other adapters is another server, on another port, started before the old one ends.
    A request that names adapters by number can so never reach a server where the numbers mean others.
    """
    hashes = [adapter.sha256 for adapter in adapters]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:_FINGERPRINT_DIGITS] if hashes else ""


def adapter_scales(adapters: Iterable[LocalAdapter], chosen: str | None = None) -> tuple[AdapterScale, ...]:
    """What llama.cpp is told of all its adapters in the requests for one of them, or for the base."""
    return tuple(
        AdapterScale(id=number, scale=adapter.scale if adapter.name == chosen else 0.0)
        for number, adapter in enumerate(adapters)
    )


def adapter_entries(
    base: str, entry: ModelEndpoints, adapters: Iterable[LocalAdapter]
) -> Iterator[tuple[str, ModelEndpoints]]:
    """The contract's entries of a model's adapters, by name.

    Args:
        base: The model's name in the fleet.
        entry: Its own entry.
        adapters: Its adapters, in the order in which its servers hold them.
    """
    held = tuple(adapters)
    for adapter in held:
        scales = adapter_scales(held, adapter.name) if entry.engine == "llamacpp" else ()
        changed = {
            "model": adapter.name,
            "adapter_of": base,
            "adapter_sha256": adapter.sha256,
            "lora": scales,
        }
        yield adapter.name, entry.model_copy(update=changed)
