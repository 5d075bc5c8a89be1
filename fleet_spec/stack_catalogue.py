"""The catalogue of a stack: the shipped one, with the stack's own laid over it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from fleet_spec.catalogue import Catalogue, load_catalogue
from fleet_spec.catalogue_layers import Layer, layered
from fleet_spec.catalogue_spec import CatalogueEntry, CatalogueSource
from fleet_spec.errors import Problem, SpecError

CACHE: Final = Path(".paddock") / "catalogues"
"""Where in a project's directory catalogues are kept that were fetched, each under its hash."""
MOST_BYTES: Final = 4 * 2**20
"""The shipped catalogue has less than a tenth of a megabyte."""

_ENTRY: Final[TypeAdapter[CatalogueSource]] = TypeAdapter(CatalogueEntry)


def sources_of(raw: Mapping[str, Any]) -> Iterator[tuple[int, CatalogueSource]]:
    """The catalogues that a raw config names, by their place in its list; those that are written wrongly left out."""
    named: object = raw.get("catalogues")
    for place, value in enumerate(cast("list[object]", named) if isinstance(named, list) else []):
        try:
            yield place, _ENTRY.validate_python(value)
        except ValidationError:
            continue


def cached_path(source: CatalogueSource, directory: Path) -> Path:
    """Where a catalogue that is fetched is kept."""
    return directory / CACHE / f"{source.sha256}.yaml"


def stack_catalogue(raw: Mapping[str, Any], directory: Path) -> Catalogue:
    """The catalogue of a stack.

    Args:
        raw: Its config as plain data.
        directory: The project's, which relative paths begin at, and which keeps what was fetched.

    Raises:
        SpecError: a file is not there or not what its hash says, was never fetched, or has mistakes; all of them.
    """
    layers: list[Layer] = []
    problems: list[Problem] = []
    for place, source in sources_of(raw):
        outcome = _read(f"catalogues.{place}", source, directory)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            layers.append(outcome)
    if problems:
        raise SpecError(problems)
    return layered(layers) if layers else load_catalogue()


def _read(key: str, source: CatalogueSource, directory: Path) -> Layer | Problem:
    path = cached_path(source, directory) if source.path is None else directory / Path(source.path).expanduser()
    try:
        if path.stat().st_size > MOST_BYTES:
            return Problem(key, f"{path} is over {MOST_BYTES} bytes", "name a catalogue")
        data = path.read_bytes()
        text = data.decode()
    except FileNotFoundError:
        if source.path is None:
            return Problem(
                f"{key}.url", f"{source.url} was never fetched", "run `paddock plan` where it can be reached"
            )
        return Problem(f"{key}.path", f"there is no file {path}", "correct the path")
    except (OSError, UnicodeDecodeError) as error:
        return Problem(key, f"{path} cannot be read: {error}", "name a catalogue")
    found = hashlib.sha256(data).hexdigest()
    if source.sha256 is not None and found != source.sha256:
        return Problem(f"{key}.sha256", f"{path} has the hash {found}", "correct the hash, or the file")
    return Layer(source.shown, text)
