"""The model catalogue: which open models there are, how they are built, and where each engine finds them.

The shipped catalogue is ``catalogue.yaml`` beside this module; its header says where its figures come from.
An entry's name is the model's tag in Ollama's library, such as ``llama3.1:8b``: the name people know it by.
The catalogue describes models. How much memory one needs, and on which
GPU, is worked out elsewhere from its figures.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import PrivateAttr, ValidationError, model_validator

from fleet_spec.catalogue_entry import CAPABILITIES, USE_CASES, CatalogueModel, CataloguePart, Licence
from fleet_spec.errors import BadInputError

__all__ = [
    "CAPABILITIES",
    "USE_CASES",
    "Catalogue",
    "CatalogueError",
    "CatalogueModel",
    "Licence",
    "UnknownModelError",
    "load_catalogue",
]


SHIPPED_PATH = Path(__file__).with_name("catalogue.yaml")


class CatalogueError(BadInputError):
    """A catalogue that cannot be used: not YAML, or with entries that contradict themselves or each other."""


class UnknownModelError(BadInputError):
    """A model that the catalogue does not hold."""

    def __init__(self, name: str, nearest: Iterable[str] = ()) -> None:
        self.name = name
        self.nearest = tuple(nearest)
        hint = f"Did you mean {' or '.join(self.nearest)}? " if self.nearest else ""
        super().__init__(f"the catalogue has no model {name!r}. {hint}`paddock models list` shows every model it has.")


class Catalogue(CataloguePart):
    """All models, in the order of the file. Build with :func:`load_catalogue` or :meth:`parse`."""

    licences: dict[str, Licence]
    models: tuple[CatalogueModel, ...]
    _by_name: dict[str, CatalogueModel] = PrivateAttr(default_factory=dict[str, CatalogueModel])

    @model_validator(mode="after")
    def _entries_agree(self) -> Self:
        counts = Counter(name for model in self.models for name in (model.name, *model.aliases))
        twice = sorted(name for name, count in counts.items() if count > 1)
        strangers = sorted({model.licence for model in self.models} - self.licences.keys())
        if twice:
            raise ValueError(f"names given more than once: {', '.join(twice)}")
        if strangers:
            raise ValueError(f"licences that are not described: {', '.join(strangers)}")
        replacements = {m.name: m.deprecated.replacement for m in self.models if m.deprecated is not None}
        lost = sorted(f"{name} by {new}" for name, new in replacements.items() if new is not None and new not in counts)
        if lost:
            raise ValueError(f"models replaced by what is not in the catalogue: {', '.join(lost)}")
        self._by_name.update({name: model for model in self.models for name in (model.name, *model.aliases)})
        return self

    @classmethod
    def parse(cls, text: str, source: str = "the catalogue") -> Catalogue:
        """Read a catalogue from YAML text.

        Raises:
            CatalogueError: it is not YAML, or an entry is wrong. Names every mistake that was found.
        """
        try:
            # libyaml reads the shipped file about ten times as fast as the pure Python loader.
            data: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
            return cls.model_validate(data)
        except yaml.YAMLError as error:
            raise CatalogueError(f"{source} is not YAML: {error}") from error
        except ValidationError as error:
            details = "\n".join(
                f"  {'.'.join(str(part) for part in item['loc']) or 'catalogue'}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            )
            raise CatalogueError(f"{source} cannot be used:\n{details}") from error

    def names(self) -> tuple[str, ...]:
        """The name of every model, without aliases."""
        return tuple(model.name for model in self.models)

    def get(self, name: str) -> CatalogueModel:
        """The model of that name or alias.

        A trailing ``:latest``, Ollama's word for a family's default size, means the same as none.

        Raises:
            UnknownModelError: there is none. Carries the names that come nearest.
        """
        wanted = name.strip().lower().removesuffix(":latest")
        model = self._by_name.get(wanted)
        if model is None:
            raise UnknownModelError(name, difflib.get_close_matches(wanted, self._by_name, n=3, cutoff=0.6))
        return model

    def licence_of(self, model: CatalogueModel) -> Licence:
        """The terms that a model of this catalogue comes under."""
        return self.licences[model.licence]

    def find(
        self,
        *,
        capability: str | None = None,
        use_case: str | None = None,
        max_parameters: int | None = None,
        licence: str | None = None,
    ) -> tuple[CatalogueModel, ...]:
        """The models that meet every condition given, in the order of the file.

        Args:
            capability: one of :data:`CAPABILITIES`.
            use_case: one of :data:`USE_CASES`.
            max_parameters: the most weights it may have, all experts counted.
            licence: a key of ``licences``, in capitals or not.

        Raises:
            BadInputError: the capability, use case or licence is not one the catalogue knows.
        """
        _require_known("capability", capability, CAPABILITIES)
        _require_known("use case", use_case, USE_CASES)
        if licence is not None:
            licence = {key.lower(): key for key in self.licences}.get(licence.lower(), licence)
            _require_known("licence", licence, self.licences)
        return tuple(
            model
            for model in self.models
            if (capability is None or capability in model.capabilities)
            and (use_case is None or use_case in model.use_cases)
            and (max_parameters is None or model.parameters.total <= max_parameters)
            and (licence is None or model.licence == licence)
        )


def _require_known(what: str, value: str | None, known: Iterable[str]) -> None:
    choices = sorted(known, key=str.lower)
    if value is not None and value not in choices:
        raise BadInputError(f"no model of the catalogue has the {what} {value!r}. Use one of: {', '.join(choices)}.")


@cache
def load_catalogue() -> Catalogue:
    """The shipped catalogue. Read and checked at the first call, remembered after.

    Where a stack is known, its spec's ``catalogue`` is the one to ask: the stack may have laid its own over this one.
    """
    return Catalogue.parse(SHIPPED_PATH.read_text("utf-8"), "the shipped catalogue")
