"""Where a stack's config says its own catalogues are."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from fleet_spec.base import SpecPart


class CatalogueSource(SpecPart):
    """A catalogue of your own, laid over the shipped one. ``- models.yaml`` is short for ``- path: models.yaml``."""

    path: str | None = Field(default=None, min_length=1)
    """A file, absolute or relative to the project's directory."""
    url: str | None = Field(default=None, pattern=r"^https://[^\s/]+/\S*$", max_length=2000)
    """Where it is fetched from, once: what was fetched is kept in ``.paddock``, so that later plans need no network."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Its hash in 64 hexadecimal digits. Always with ``url``: nobody else decides then what the stack is built from."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("names no one place; write a path, or a url with its sha256")
        if self.url is not None and self.sha256 is None:
            raise ValueError("has no sha256; add the one that `sha256sum` prints for the file")
        return self

    @property
    def shown(self) -> str:
        """What an error calls it."""
        return self.path or self.url or ""


def _source(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"url" if "://" in value else "path": value}


CatalogueEntry = Annotated[CatalogueSource, BeforeValidator(_source, json_schema_input_type=str | CatalogueSource)]
"""A catalogue, or just its file."""
