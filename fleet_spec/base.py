"""What every part of the spec shares: camelCase keys, no unknown keys, no change after loading."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class SpecPart(BaseModel):
    """A mapping in the stack's config. Keys are camelCase there and snake_case here."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)


_DURATION = re.compile(r"^(-1|0|(\d+(ms|s|m|h))+)$")
_QUANTITY = re.compile(r"^\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")
_IDENTIFIER = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$")


def _duration(value: str) -> str:
    if not _DURATION.match(value):
        raise ValueError("is no duration; write it with its unit, such as '30s', '10m' or '1h30m'")
    return value


def _quantity(value: str) -> str:
    if not _QUANTITY.match(value):
        raise ValueError("is no quantity; write it as Kubernetes does, such as '500m', '2', '16Gi'")
    return value


def _identifier(value: str) -> str:
    if not _IDENTIFIER.match(value):
        raise ValueError(
            "is no usable name; begin and end with a letter or digit, and use only those and . _ : / - between"
        )
    return value


Duration = Annotated[str, AfterValidator(_duration)]
"""A length of time with its unit, ``10m``; ``-1`` means forever and ``0`` at once, as Ollama has it."""

Quantity = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_quantity)]
"""An amount in Kubernetes' notation: ``16Gi`` bytes, ``500m`` CPUs."""

Identifier = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_identifier)]
"""A name that a person chose and that clients may ask for."""

Port = Annotated[int, Field(ge=1, le=65535)]

Count = Annotated[int, Field(ge=1, le=10_000)]


def seconds(duration: str) -> float:
    """The length of a :data:`Duration` in seconds; infinite for ``-1``.

    >>> seconds("1h30m")
    5400.0
    """
    if duration == "-1":
        return float("inf")
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h)", duration))
