"""What is tried: a model's settings, and the values of each that may be better."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from fleet_spec.errors import BadInputError
from fleet_spec.model_spec import ModelSpec
from fleet_spec.serving_spec import EngineName, ServingSpec

PARALLEL: Final = "parallel"
OLLAMA: Final = (PARALLEL, "flashAttention", "kvCacheType")
"""What an Ollama server is told as it starts; the rest goes with a model in its store, which is the fleet's."""
USUAL: Final = ("threads", PARALLEL, "flashAttention", "microBatchSize", "kvCacheType")
"""Tried in this order where nobody names any: what changes most comes first."""
NAMES: Final = (*USUAL, "speculative", "loadMode", "batchThreads")
_MOST_PARALLEL: Final = 64
_ENGINES_OWN: Final = {"kvCacheType": "f16", "loadMode": "map"}
"""What llama.cpp takes where nobody names a value, so that it is not raced against itself."""


@dataclass(frozen=True)
class Candidate:
    """How a model may be served."""

    parallel: int
    serving: ServingSpec

    @classmethod
    def of(cls, model: ModelSpec) -> Candidate:
        """How the stack serves it now."""
        return cls(model.parallel, model.serving)

    def value(self, name: str) -> Any:
        """A setting by the name that a config gives it; None where it is the engine's own to choose."""
        return self.parallel if name == PARALLEL else self.document().get(name)

    def changed(self, name: str, value: Any) -> Candidate:
        """The same with another value of one setting."""
        if name == PARALLEL:
            return Candidate(int(value), self.serving)
        given = self.serving.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        return Candidate(self.parallel, ServingSpec.model_validate({**given, name: value}))

    def applied(self, model: ModelSpec) -> ModelSpec:
        """A model served so."""
        return model.model_copy(update={"parallel": self.parallel, "serving": self.serving})

    def document(self) -> dict[str, Any]:
        """Every setting that is named, as a config writes it."""
        return {PARALLEL: self.parallel, **self.serving.model_dump(by_alias=True, exclude_none=True)}


@dataclass(frozen=True)
class Knob:
    """A setting and the values to try."""

    name: str
    values: tuple[Any, ...]

    def rivals(self, best: Candidate) -> list[Candidate]:
        """The candidates that differ from the best in this setting alone, and agree with its others."""
        present = best.value(self.name)
        found: list[Candidate] = []
        for value in self.values:
            if value == (_ENGINES_OWN.get(self.name) if present is None else present):
                continue
            with contextlib.suppress(ValidationError):
                found.append(best.changed(self.name, value))
        return found


def knobs(names: Sequence[str], *, cpus: int, concurrency: int, engine: EngineName = "llamacpp") -> list[Knob]:
    """The settings to try and their values.

    Args:
        names: Which; empty for the usual ones.
        cpus: Processors of this machine.
        concurrency: Requests that the workload has at a time.
        engine: Which server runs the model.

    Raises:
        BadInputError: a name is none that can be tried.
    """
    known, usual = (OLLAMA, OLLAMA) if engine == "ollama" else (NAMES, USUAL)
    for name in names:
        if name not in known:
            raise BadInputError(
                f"--setting {name!r} is none that is tried with this model's engine. fix: one of {', '.join(known)}"
            )
    threads = tuple(sorted({1, max(1, cpus // 4), max(1, cpus // 2), max(1, cpus - 1), cpus}))
    slots = [1]
    while slots[-1] < min(concurrency, _MOST_PARALLEL):
        slots.append(slots[-1] * 2)
    values: dict[str, tuple[Any, ...]] = {
        "threads": threads,
        "batchThreads": threads,
        PARALLEL: tuple(slots),
        "flashAttention": (True, False),
        "microBatchSize": (128, 256, 1024),
        "kvCacheType": ("f16", "q8_0"),
        "speculative": ("ngram",),
        "loadMode": ("map", "copy"),
    }
    found = [Knob(name, values[name]) for name in dict.fromkeys(names or usual)]
    if any(knob.name == "batchThreads" for knob in found) and "threads" not in names:
        raise BadInputError("--setting batchThreads goes with threads. fix: --setting threads --setting batchThreads")
    return found


def setting_names(candidate: Candidate, other: Candidate) -> list[str]:
    """The settings in which two candidates differ, as a config names them."""
    names = [PARALLEL, *(to_camel(name) for name in ServingSpec.model_fields)]
    return [name for name in names if candidate.value(name) != other.value(name)]
