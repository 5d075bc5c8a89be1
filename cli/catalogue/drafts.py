"""What a source says of a model, as far as it says it: the beginning of an entry in a catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from cli.catalogue.fetched import fetched_config, ollama_answer, ollama_of
from fleet_spec.catalogue_entry import CAPABILITIES, Architecture, Licence
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.gguf_file import architecture_of, read_gguf, read_gguf_header
from fleet_spec.sizing.hugging_face import read_hugging_face_config

_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*$")
_HUB: Final = re.compile(r"^/([\w.-]+/[\w.-]+)/(?:raw|resolve|blob)/")
_OLLAMA_CAPABILITIES: Final = {"completion": "completion", **{name: name for name in CAPABILITIES}}
USE_CASES_UNKNOWN: Final = "useCases: what it is good for; general is written"


@dataclass(frozen=True)
class Draft:
    """An entry as far as its source fills it in."""

    name: str
    family: str
    total_parameters: int
    active_parameters: int | None
    architecture: Architecture
    licence: str
    capabilities: tuple[str, ...]
    sources: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """As a catalogue has them."""
    unknown: tuple[str, ...] = ()
    """What the source does not say, each as the key and what stands there now."""


def draft_of(
    source: str,
    *,
    stack: str,
    name: str | None,
    licence: str | None,
    url: str | None,
    licences: Mapping[str, Licence],
) -> Draft:
    """Read a source.

    Args:
        source: A GGUF file; a Hugging Face config.json, as a file or an https address; or a model of an Ollama.
        stack: Whose Ollama is asked.
        name: The entry's name, in place of the one that the source suggests.
        licence: The key of its licence, in place of what the source says.
        url: The Ollama to ask, in place of the stack's.
        licences: Those that the catalogue describes.

    Raises:
        BadInputError: the source cannot be read, or suggests no usable name.
    """
    if licence is not None and licence not in licences:
        raise BadInputError(
            f"the catalogue describes no licence {licence!r}. fix: one of {', '.join(sorted(licences))}"
        )
    if name is not None and not _NAME.match(name):
        raise BadInputError(f"--name {name!r} is no name of a model. fix: write family:size in lower case")
    if source.endswith(".gguf"):
        return _from_gguf(Path(source), name, licence, licences)
    if source.startswith("https://"):
        with fetched_config(source) as path:
            return _from_config(path, source, name, licence)
    if source.startswith("http://"):
        raise BadInputError(f"{source} is not https. fix: write https://, or fetch the file yourself")
    if source.endswith(".json"):
        return _from_config(Path(source), source, name, licence)
    return _from_ollama(source, ollama_of(stack, url), name, licence, licences)


def _from_gguf(path: Path, name: str | None, licence: str | None, licences: Mapping[str, Licence]) -> Draft:
    model, metadata = read_gguf(path), read_gguf_header(path).metadata
    told = licence or _licence(metadata.get("general.license"), licences)
    unknown = ["sources: where others find it; your own file goes into the stack's 'weights'", USE_CASES_UNKNOWN]
    unknown.append("capabilities: whether it chats, calls tools or sees; completion is written")
    return Draft(
        name=name or _name(model.name or path.stem, model.parameters),
        family=model.family,
        total_parameters=model.parameters,
        active_parameters=None,
        architecture=model.architecture,
        licence=told or "unknown",
        capabilities=("completion",),
        unknown=(*unknown, *_unknown_licence(told)),
    )


def _from_config(path: Path, source: str, name: str | None, licence: str | None) -> Draft:
    model = read_hugging_face_config(path)
    match = _HUB.match(urlsplit(source).path) if source.startswith("https://huggingface.co/") else None
    repository = match[1] if match is not None else None
    suggested = repository.rpartition("/")[2] if repository is not None else model.family
    unknown = [USE_CASES_UNKNOWN, "capabilities: whether it chats, calls tools or sees; completion is written"]
    if repository is None:
        unknown.append("sources.vllm: its repository on Hugging Face")
    return Draft(
        name=name or _name(suggested, model.parameters.total),
        family=model.family,
        total_parameters=model.parameters.total,
        active_parameters=model.parameters.active,
        architecture=model.architecture,
        licence=licence or "unknown",
        capabilities=("completion",),
        sources={"vllm": repository} if repository is not None else {},
        unknown=(*unknown, *_unknown_licence(licence)),
    )


def _from_ollama(
    tag: str, server: str, name: str | None, licence: str | None, licences: Mapping[str, Licence]
) -> Draft:
    answer = ollama_answer(server, tag)
    info: dict[str, Any] = answer.get("model_info") or {}
    family = str(info.get("general.architecture") or "unknown")
    tensors = {str(one["name"]): one for one in cast("list[dict[str, Any]]", answer.get("tensors") or [])}
    if not isinstance(info.get(f"{family}.vocab_size"), int) and "token_embd.weight" in tensors:
        # The list of words itself is left out of the answer.
        info = {**info, f"{family}.vocab_size": tensors["token_embd.weight"]["shape"][-1]}
    details: dict[str, Any] = answer.get("details") or {}
    told = licence or _licence(info.get("general.license"), licences) or _licence_text(answer.get("license"), licences)
    offered: list[str] = answer.get("capabilities") or []
    able = tuple(dict.fromkeys(_OLLAMA_CAPABILITIES[one] for one in offered if one in _OLLAMA_CAPABILITIES))
    if "completion" in able and "{{" in str(answer.get("template") or "").replace("{{ .Prompt }}", ""):
        able = ("chat", *able)
    architecture = architecture_of(f"{tag} of {server}", info, family, tensors)
    if "embedding" in able:
        architecture = architecture.model_copy(update={"embedding_length": architecture.hidden_size})
    quantization = details.get("quantization_level")
    total = int(info.get("general.parameter_count") or 0)
    suggested = tag if ":" in tag else f"{tag}:latest"
    return Draft(
        name=name or (suggested.lower() if _NAME.match(suggested.lower()) else _name(tag, total)),
        family=family,
        total_parameters=total,
        active_parameters=None,
        architecture=architecture,
        licence=told or "unknown",
        capabilities=able or ("completion",),
        sources={"ollama": {"tag": tag, "quantization": quantization or "unknown"}},
        unknown=(
            USE_CASES_UNKNOWN,
            *([] if able else ["capabilities: completion is written"]),
            *([] if quantization else ["sources.ollama.quantization"]),
            *_unknown_licence(told),
        ),
    )


def _unknown_licence(licence: str | None) -> tuple[str, ...]:
    return () if licence is not None else ("licence: under which terms it comes; describe them below licences",)


def _licence(told: object, licences: Mapping[str, Licence]) -> str | None:
    """The key of a licence that a file names by key or SPDX identifier."""
    if not isinstance(told, str):
        return None
    wanted = told.strip().lower()
    return next((key for key, one in licences.items() if wanted in (key.lower(), (one.spdx or "").lower())), None)


def _licence_text(text: object, licences: Mapping[str, Licence]) -> str | None:
    """The key of a licence by whose name a text begins. Of two names the longer one is meant."""
    if not isinstance(text, str):
        return None
    beginning = re.sub(r"\s+", " ", text[:400]).lower().replace(", version", "").replace("version ", "")
    names = {one.name.lower(): key for key, one in licences.items()}
    return next((names[name] for name in sorted(names, key=len, reverse=True) if name in beginning), None)


def _name(suggested: str, parameters: int) -> str:
    """A name of the form family:size."""
    plain = re.sub(r"[^a-z0-9.]+", "-", suggested.lower()).strip("-.")
    size = f"{parameters / 1e9:.3g}b" if parameters >= 1e9 else f"{max(parameters / 1e6, 1):.0f}m"
    return f"{plain or 'model'}:{size}"
