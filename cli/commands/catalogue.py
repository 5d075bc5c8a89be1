"""models list and add: the catalogue of a stack, and new entries for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.catalogue.drafts import draft_of
from cli.catalogue.entry_text import add_to_file, entry_document, entry_text
from cli.catalogue.listing import ORDERS, Listed, Order, Wanted, listing
from cli.catalogue.of_stack import catalogue_of
from cli.console import note, table, write, write_json
from fleet_spec.catalogue import UnknownModelError
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.estimate import Engine

ENGINES: tuple[Engine, ...] = ("llamacpp", "ollama", "vllm")


def list_models(wanted: Wanted, *, stack: str, engine: str, order: str, as_json: bool) -> None:
    """Print the models that meet every condition.

    Args:
        wanted: The conditions.
        stack: Whose catalogue it is.
        engine: What is to run them, for what fits and what it costs.
        order: One of :data:`ORDERS`.
        as_json: Print one JSON document.

    Raises:
        BadInputError: a condition, the engine or the order is none that is known; or the stack's catalogues cannot
            be used.
    """
    engines: dict[str, Engine] = {name: name for name in ENGINES}
    orders: dict[str, Order] = {name: name for name in ORDERS}
    if engine not in engines:
        raise BadInputError(f"{engine!r} is no engine. fix: --engine {' or '.join(ENGINES)}")
    if order not in orders:
        raise BadInputError(f"{order!r} is no order. fix: --sort {' or '.join(ORDERS)}")
    catalogue = catalogue_of(stack)
    found = listing(catalogue, wanted, engine=engines[engine], order=orders[order])
    if as_json:
        write_json([{**summary(one.model), **_price(one)} for one in found])
        return
    rows = [
        [
            one.model.name + (" (deprecated)" if one.model.deprecated is not None else ""),
            billions(one.model.parameters.total),
            f"{one.model.architecture.context_length:,}",
            ", ".join(one.model.capabilities),
            one.model.licence,
            "-" if one.usd_per_million_tokens is None else f"{one.usd_per_million_tokens:.2f}",
        ]
        for one in found
    ]
    table(["model", "parameters", "context", "capabilities", "licence", "USD/M tokens"], rows)
    write(f"{len(found)} of {len(catalogue.models)} models")


def add_model(
    source: str,
    *,
    stack: str,
    name: str | None,
    licence: str | None,
    write_to: Path | None,
    url: str | None,
    as_json: bool = False,
) -> None:
    """Print an entry of the catalogue for a model, filled in by reading the model's own description.

    Args:
        source: A GGUF file; a Hugging Face config.json, as a file or an https address; or a model of an Ollama.
        stack: Whose catalogue it is for, and whose Ollama is asked.
        name: The entry's name, in place of the one that the source suggests.
        licence: The key of its licence, in place of what the source says.
        write_to: A catalogue to write it to, which is made where there is none.
        url: The Ollama to ask, in place of the stack's.
        as_json: Print one JSON document: the entry as a catalogue has it, what is not known, and where it was written.

    Raises:
        BadInputError: the source cannot be read, the catalogue has such a model, or the file cannot take it.
    """
    catalogue = catalogue_of(stack)
    draft = draft_of(source, stack=stack, name=name, licence=licence, url=url, licences=catalogue.licences)
    try:
        known = catalogue.get(draft.name)
    except UnknownModelError:
        pass
    else:
        raise BadInputError(f"the catalogue has {known.name} already. fix: give the entry another name with --name")
    text = entry_text(draft, catalogue.licences)
    if write_to is not None:
        add_to_file(write_to, draft, text)
    if as_json:
        write_json(
            {
                "catalogue": entry_document(draft, catalogue.licences),
                "unknown": list(draft.unknown),
                "written": str(write_to) if write_to is not None else None,
            }
        )
        return
    if write_to is None:
        write(text.rstrip("\n"))
    else:
        note(f"wrote {draft.name} to {write_to}; name the file below paddock:catalogues in the stack's config")
    for unknown in draft.unknown:
        note(f"not known: {unknown}")


def summary(model: CatalogueModel) -> dict[str, Any]:
    """What a list tells of a model."""
    return {
        "name": model.name,
        "family": model.family,
        "parameters": model.parameters.model_dump(mode="json", exclude_none=True),
        "architecture": model.architecture.model_dump(mode="json", exclude_none=True),
        "licence": model.licence,
        "capabilities": list(model.capabilities),
        "useCases": list(model.use_cases),
        **(
            {"deprecated": model.deprecated.model_dump(mode="json", exclude_none=True)}
            if model.deprecated is not None
            else {}
        ),
    }


def billions(count: int) -> str:
    """A number of parameters for a person."""
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def _price(one: Listed) -> dict[str, Any]:
    if one.cheapest is None or one.usd_per_million_tokens is None:
        return {"cheapest": None, "usdPerMillionTokens": None}
    price = one.cheapest.price
    return {
        "cheapest": {
            "type": one.cheapest.gpu,
            "count": one.cheapest.gpus,
            "usdPerHour": round(price.usd, 4),
            "source": price.source,
        },
        "usdPerMillionTokens": round(one.usd_per_million_tokens, 4),
    }
