"""Which engine serves each model on this machine, and from which weights. Looks, and changes nothing."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from components.local.adapters import LocalAdapter, plan_adapters
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.catalogue_entry import CatalogueModel, PackagedSource, Prompting
from fleet_spec.checks_serving import setting_problems
from fleet_spec.errors import Problem, SpecError
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.quantization import file_problem, ollama_source, quantization_problem
from fleet_spec.sizing.gguf_file import GgufError, read_gguf, read_gguf_header
from fleet_spec.spec import FleetSpec

DEFAULT_CONTEXT_LENGTH_TOKENS = 4096
"""What a request may use where the config names no context: enough for a chat, small enough for a laptop."""

LLAMACPP_FIX = "pip install 'paddock[llamacpp]'"
OLLAMA_FIX = "install Ollama from https://ollama.com/download, so that `ollama` is on PATH"


@dataclass(frozen=True)
class LocalFacts:
    """What this machine has."""

    llamacpp_installed: bool
    ollama_binary: Path | None
    weight_modules: frozenset[str]
    """Installed Python modules that carry weights."""


@dataclass(frozen=True)
class WeightsFile:
    """A GGUF file and how to come by it: from an installed package, or as a file of the user's."""

    file_name: str
    sha256: str
    size_bytes: int | None = None
    package_module: str | None = None
    install_hint: str | None = None
    """The command that installs that package."""
    path: Path | None = None
    context_length: int | None = None
    """Tokens that the model was made for, as a file of the user's tells."""


@dataclass(frozen=True)
class LocalModel:
    """A model, decided: nothing about it is left to choose."""

    name: str
    safe_name: str
    spec: ModelSpec
    served_name: str
    """What its engine calls it: the catalogue's name, or the tag that Ollama pulls."""
    engine: Literal["llamacpp", "ollama"]
    context_length: int
    capabilities: tuple[str, ...]
    weights: WeightsFile | None
    """None where Ollama pulls the model."""
    ollama_binary: Path | None
    prompting: Prompting | None
    """How to prompt weights that bring no usable template of their own."""
    adapters: tuple[LocalAdapter, ...] = ()


def gather_facts(catalogue: Catalogue) -> LocalFacts:
    """Look at this machine. Imports nothing and starts nothing."""
    modules = {packaged.module for entry in catalogue.models if (packaged := entry.sources.packaged) is not None}
    binary = shutil.which("ollama")
    return LocalFacts(
        llamacpp_installed=importlib.util.find_spec("xllamacpp") is not None,
        ollama_binary=Path(binary) if binary else None,
        weight_modules=frozenset(name for name in modules if importlib.util.find_spec(name) is not None),
    )


def plan_fleet(spec: FleetSpec, facts: LocalFacts, catalogue: Catalogue, project: Path) -> list[LocalModel]:
    """Decide every model of a fleet.

    Raises:
        SpecError: models that this machine cannot serve, all of them, each with what it lacks.
    """
    problems: list[Problem] = []
    planned: list[LocalModel] = []
    for name, model in spec.models.items():
        outcome = _plan_model(name, model, facts, catalogue, project)
        if isinstance(outcome, Problem):
            problems.append(outcome)
            continue
        base = outcome.weights.path if outcome.weights is not None else None
        adapters, wrong = plan_adapters(name, model, outcome.engine, base, outcome.capabilities, project)
        problems += wrong
        planned.append(replace(outcome, adapters=tuple(adapters)))
    if problems:
        raise SpecError(problems)
    return planned


def _plan_model(
    name: str, spec: ModelSpec, facts: LocalFacts, catalogue: Catalogue, project: Path
) -> LocalModel | Problem:
    entry = _entry(catalogue, spec.model)
    weights = _weights_at_hand(name, spec, entry, facts, project)
    if isinstance(weights, Problem):
        return weights
    engine = _choose_engine(name, spec, entry, weights, facts)
    if isinstance(engine, Problem):
        return engine
    packaged = _packaged(entry) if weights is not None and weights.package_module is not None else None
    unable = _settings_problem(name, spec, engine, entry, weights)
    if unable is not None:
        return unable
    trained_context = _trained_context(entry, weights)
    if spec.context_length is not None and spec.context_length > trained_context:
        return Problem(
            f"models.{name}.contextLength",
            f"{spec.context_length} is over the {trained_context} tokens that the model was made for",
            f"write {trained_context} or less",
        )
    served_name = entry.name if entry is not None else spec.model
    if weights is None and entry is not None and entry.sources.ollama is not None:
        served_name, _ = ollama_source(entry.sources.ollama, spec.quantization)
    return LocalModel(
        name=name,
        safe_name=safe_name(name),
        spec=spec,
        served_name=served_name,
        engine=engine,
        context_length=spec.context_length or min(DEFAULT_CONTEXT_LENGTH_TOKENS, trained_context),
        capabilities=entry.capabilities if entry is not None else ("chat", "completion"),
        weights=weights,
        ollama_binary=facts.ollama_binary,
        prompting=packaged.prompting if packaged is not None else None,
    )


def _settings_problem(
    name: str,
    spec: ModelSpec,
    engine: Literal["llamacpp", "ollama"],
    entry: CatalogueModel | None,
    weights: WeightsFile | None,
) -> Problem | None:
    """The first thing that the chosen engine cannot do: which one that is, nobody knew before."""
    key = f"models.{name}"
    problem = next(setting_problems(key, engine, "local", spec.serving), None)
    if problem is not None:
        return problem
    if weights is not None and weights.path is not None:
        return file_problem(key, spec.quantization, read_gguf_header(weights.path))
    served_by = "llamacpp" if weights is not None else engine
    problem = quantization_problem(key, served_by, spec.quantization, entry, own_weights=False)
    if problem is not None:
        return problem
    draft = spec.serving.speculative.model if spec.serving.speculative is not None else None
    if draft is not None and not Path(draft).is_file():
        return Problem(f"{key}.serving.speculative.model", f"there is no file {draft}", "correct the path")
    return None


def _trained_context(entry: CatalogueModel | None, weights: WeightsFile | None) -> int:
    """Tokens that a model was made for: its file's own word, else the catalogue's."""
    if weights is not None and weights.context_length is not None:
        return weights.context_length
    return entry.architecture.context_length if entry is not None else DEFAULT_CONTEXT_LENGTH_TOKENS


def _entry(catalogue: Catalogue, name: str) -> CatalogueModel | None:
    """The catalogue's entry; None for weights of the user's own under a name that it does not know."""
    try:
        return catalogue.get(name)
    except UnknownModelError:
        return None


def weights_path(spec: ModelSpec, project: Path) -> Path | None:
    """Where a model's own file of weights is; None where it has none."""
    return None if spec.weights is None else (project / Path(spec.weights.path).expanduser()).resolve()


def _weights_at_hand(
    name: str, spec: ModelSpec, entry: CatalogueModel | None, facts: LocalFacts, project: Path
) -> WeightsFile | Problem | None:
    path = weights_path(spec, project)
    if spec.weights is not None and path is not None:
        if not path.is_file():
            return Problem(f"models.{name}.weights.path", f"there is no file {path}", "correct the path")
        try:
            figures = read_gguf(path).architecture
        except GgufError as error:
            message, _, fix = str(error).partition(" fix: ")
            return Problem(f"models.{name}.weights.path", message, fix or "name a GGUF file of a model")
        return WeightsFile(
            file_name=path.name, sha256=spec.weights.sha256, path=path, context_length=figures.context_length
        )
    packaged = _packaged(entry)
    if packaged is None or packaged.module not in facts.weight_modules:
        return None
    return WeightsFile(
        packaged.file,
        packaged.sha256,
        packaged.size_bytes,
        package_module=packaged.module,
        install_hint=_install_command(packaged),
    )


def _install_command(packaged: PackagedSource) -> str:
    return f"pip install 'paddock[{packaged.extra}]'"


def _packaged(entry: CatalogueModel | None) -> PackagedSource | None:
    return entry.sources.packaged if entry is not None else None


def _choose_engine(
    name: str, spec: ModelSpec, entry: CatalogueModel | None, weights: WeightsFile | None, facts: LocalFacts
) -> Literal["llamacpp", "ollama"] | Problem:
    key = f"models.{name}.engine"
    if spec.engine in ("auto", "llamacpp") and weights is not None and facts.llamacpp_installed:
        return "llamacpp"
    if spec.engine in ("auto", "ollama") and facts.ollama_binary is not None:
        return "ollama"
    if spec.engine == "ollama":
        return Problem(key, "'ollama': there is no `ollama` on PATH", OLLAMA_FIX)
    if weights is not None:
        return Problem(key, f"{spec.engine!r}: llama.cpp is not installed here", LLAMACPP_FIX)
    packaged = _packaged(entry)
    if packaged is not None:
        return Problem(
            key,
            f"{spec.engine!r}: the weights of {spec.model} come in the package {packaged.package}, "
            "which is not installed",
            _install_command(packaged),
        )
    if spec.engine == "llamacpp":
        return Problem(
            key,
            f"'llamacpp': no weights of {spec.model} are at hand",
            "give a GGUF file in 'weights', or use ollama",
        )
    return Problem(
        key,
        f"'auto': no engine here can serve {spec.model}: its weights are not at hand and there is no `ollama` on PATH",
        f"{OLLAMA_FIX}; or give a GGUF file in 'weights'",
    )
