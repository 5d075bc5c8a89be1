"""Which models of a catalogue a person wants to see: those that fit, cost little enough, and in which order."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from components.local.plan import DEFAULT_CONTEXT_LENGTH_TOKENS
from fleet_spec.catalogue import Catalogue
from fleet_spec.catalogue_entry import CatalogueModel, CommercialUse
from fleet_spec.errors import BadInputError
from fleet_spec.gpus import GPUS
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.advice import Holding, cheapest_holding
from fleet_spec.sizing.advice import Placement
from fleet_spec.sizing.estimate import Engine, MemoryEstimate, estimate_memory

Order = Literal["catalogue", "name", "size", "context", "price"]
ORDERS: Final[tuple[Order, ...]] = ("catalogue", "name", "size", "context", "price")
_SECONDS_PER_HOUR: Final = 3600
_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What the models of a list must have in common. None, or nothing: that is not asked."""

    capability: str | None = None
    use_case: str | None = None
    max_parameters: int | None = None
    min_parameters: int | None = None
    licence: str | None = None
    commercial_use: CommercialUse | None = None
    fits: str | None = None
    """A kind of GPU, and how many after a colon: ``nvidia-l4:2``."""
    max_usd_per_million_tokens: float | None = None
    deprecated: bool = True
    """Whether deprecated models are shown too."""


@dataclass(frozen=True)
class Listed:
    """A model of a list."""

    model: CatalogueModel
    cheapest: Holding | None
    """The cheapest GPUs of the price table that hold it; None where none does."""
    usd_per_million_tokens: float | None
    """The price of those GPUs over the tokens that one request at a time gets at their memory's full speed, in US
    dollars per million tokens: ``USD an hour / (tokens/s x 3600) x 1,000,000``."""


def listing(catalogue: Catalogue, wanted: Wanted, *, engine: Engine, order: Order) -> list[Listed]:
    """The models of a catalogue that are wanted, in order.

    Args:
        catalogue: The models there are.
        wanted: What they must have in common.
        engine: What is to run them.
        order: ``catalogue`` is the catalogue's own; sizes and prices rise, contexts fall.

    Raises:
        BadInputError: a capability, use case, licence or GPU is none that is known.
    """
    found = catalogue.find(
        capability=wanted.capability,
        use_case=wanted.use_case,
        max_parameters=wanted.max_parameters,
        licence=wanted.licence,
    )
    placed = gpu_of(wanted.fits) if wanted.fits is not None else None
    listed = [
        _listed(model, engine)
        for model in found
        if (wanted.min_parameters is None or model.parameters.total >= wanted.min_parameters)
        and (wanted.commercial_use is None or catalogue.licence_of(model).commercial_use == wanted.commercial_use)
        and (wanted.deprecated or model.deprecated is None)
        and (placed is None or holds(model, engine, *placed))
    ]
    most = wanted.max_usd_per_million_tokens
    if most is not None:
        listed = [
            one for one in listed if one.usd_per_million_tokens is not None and one.usd_per_million_tokens <= most
        ]
    return _ordered(listed, order)


def gpu_of(text: str) -> tuple[str, int]:
    """The kind and number of ``nvidia-l4:2``.

    Raises:
        BadInputError: it is written wrongly, or no such GPU is known.
    """
    match = re.fullmatch(r"([^:]+)(?::([1-9]\d?))?", text)
    if match is None:
        raise BadInputError(f"--fits {text!r} is no GPU. fix: write a kind, such as nvidia-l4, or nvidia-l4:2 for two")
    kind = match[1]
    if kind not in GPUS:
        near = difflib.get_close_matches(kind, GPUS, n=3) or GPUS
        raise BadInputError(f"{kind!r} is no known GPU. fix: --fits {' or '.join(near)}")
    return kind, int(match[2] or 1)


def holds(model: CatalogueModel, engine: Engine, gpu: str, gpus: int) -> bool:
    """Whether so many GPUs hold a replica with the default context and the source's own quantisation."""
    placement = Placement(model, engine, GPUS[gpu], gpus)
    return placement.holds(default_quantization(model, engine), _context(model), 1)


def default_quantization(model: CatalogueModel, engine: Engine) -> str | None:
    """The quantisation of the weights that an engine fetches; None: 16 bits."""
    if engine == "vllm":
        return None
    source = model.sources.ollama if engine == "ollama" else model.sources.llamacpp
    return source.quantization if source is not None else "Q4_K_M"


def _context(model: CatalogueModel) -> int:
    return min(DEFAULT_CONTEXT_LENGTH_TOKENS, model.architecture.context_length)


def _listed(model: CatalogueModel, engine: Engine) -> Listed:
    quantization = default_quantization(model, engine)

    @cache
    def needed(gpus: int) -> MemoryEstimate:
        return estimate_memory(
            model, engine=engine, quantization=quantization, context_length=_context(model), parallel=1, gpus=gpus
        )

    cheapest = cheapest_holding(needed, engine=engine, prices=PricesSpec())
    if not cheapest:
        return Listed(model, None, None)
    first = cheapest[0]
    speed = Placement(model, engine, GPUS[first.gpu], first.gpus).tokens_per_second_bound(quantization)
    return Listed(model, first, first.price.usd / (speed * _SECONDS_PER_HOUR) * _MILLION)


def _ordered(listed: Iterable[Listed], order: Order) -> list[Listed]:
    models = list(listed)
    match order:
        case "catalogue":
            return models
        case "name":
            return sorted(models, key=lambda one: one.model.name)
        case "size":
            return sorted(models, key=lambda one: one.model.parameters.total)
        case "context":
            return sorted(models, key=lambda one: -one.model.architecture.context_length)
        case "price":
            # What nothing holds has no price, and comes last.
            return sorted(models, key=lambda one: one.usd_per_million_tokens or float("inf"))
