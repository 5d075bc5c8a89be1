"""The numbers of the calculator: exact fractions, numbers of 50 digits, and either with a unit."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError

DIGITS = 50
MOST_BITS = 10_000
"""How long a number may get, numerator and denominator each."""

Number: TypeAlias = Any
"""A ``Fraction`` or a number of mpmath's."""
Value: TypeAlias = Any
"""A Number or a quantity of pint's. Neither library has types that hold for both."""


@cache
def mp() -> Any:
    """mpmath with the calculator's precision.

    Raises:
        ToolSetupError: it is not installed.
    """
    try:
        import mpmath  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ToolSetupError("roots and logarithms need mpmath. fix: pip install 'paddock[agents]'") from error
    context: Any = mpmath.MPContext()
    context.dps = DIGITS
    return context


@cache
def units() -> Any:
    """The register of units.

    Raises:
        ToolSetupError: pint is not installed.
    """
    try:
        import pint
    except ImportError as error:
        raise ToolSetupError("units need pint. fix: pip install 'paddock[agents]'") from error
    # pint's own types know floats alone; Fraction and Decimal are documented.
    register: Any = pint.UnitRegistry
    return register(non_int_type=Fraction, autoconvert_offset_to_baseunit=True)


def unit_named(name: str) -> Any:
    """The unit of that name.

    Raises:
        ToolError: there is none.
    """
    try:
        return units().parse_units(name)
    except ToolSetupError as error:
        raise ToolError(f"{name!r} is no function or constant, and {error}") from error
    except Exception as error:
        raise ToolError(f"{name!r} is no function, constant or unit that is known") from error


def is_quantity(value: Value) -> bool:
    """Whether it has a unit."""
    return hasattr(value, "magnitude")


def is_exact(number: Number) -> bool:
    """Whether it is a fraction and not a rounded number."""
    return isinstance(number, Fraction)


def rounded(number: Number) -> Any:
    """The number with 50 digits."""
    return mp().mpf(number.numerator) / number.denominator if isinstance(number, Fraction) else number


def plain(value: Value, what: str) -> Number:
    """The number of a value that has no unit, or none that matters.

    Raises:
        ToolError: it has one.
    """
    if not is_quantity(value):
        return value
    if not value.dimensionless:
        raise ToolError(f"{what} takes a number without a unit, not {unit_text(value)}")
    return value.to("dimensionless").magnitude


def whole(value: Value, what: str) -> int:
    """The value as an int.

    Raises:
        ToolError: it is none.
    """
    number = plain(value, what)
    if not isinstance(number, Fraction) or number.denominator != 1:
        raise ToolError(f"{what} takes a whole number")
    return int(number)


def bounded(value: Value) -> Value:
    """The value, where it is not too long to go on with.

    Raises:
        ToolError: it is.
    """
    number = value.magnitude if is_quantity(value) else value
    if isinstance(number, Fraction):
        if max(number.numerator.bit_length(), number.denominator.bit_length()) > MOST_BITS:
            raise ToolError(f"the result is too large: more than {MOST_BITS * 3 // 10} digits")
    elif not mp().isfinite(number):
        raise ToolError("the result is not finite")
    return value


def unit_text(quantity: Any) -> str:
    """A quantity's unit as people write it: ``kg*m/s^2``."""
    above: list[str] = []
    below: list[str] = []
    for name, power in quantity.unit_items():
        symbol = units().get_symbol(name)
        short = symbol if symbol.isascii() or symbol in ("°C", "°F") else name
        size = abs(Fraction(power))
        (above if power > 0 else below).append(short if size == 1 else f"{short}^{size}")
    text = "*".join(above) or "1"
    return f"{text}/{'/'.join(below)}" if below else text
