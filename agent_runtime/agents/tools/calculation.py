"""A calculator: exact where numbers can be, with units, and safe whatever it is given.

Whole numbers, decimals and fractions are computed exactly: ``0.1 + 0.2`` is 0.3. Roots, logarithms and the functions
of trigonometry are computed with 50 digits. Nothing is evaluated as Python: an expression is parsed, and what is not
arithmetic is refused, as is what would take long or grow large.
"""

from __future__ import annotations

from fractions import Fraction

from agent_runtime.agents.tools.arithmetic.evaluation import evaluate
from agent_runtime.agents.tools.arithmetic.reading import read
from agent_runtime.agents.tools.arithmetic.values import Number, Value, is_quantity, mp, unit_text
from agent_runtime.agents.tools.errors import ToolError

MOST_CHARACTERS = 1000
SHOWN_DIGITS = 15
_MOST_DECIMALS = 30


def calculation(expression: str) -> str:
    """Calculate exactly, with units where there are any.

    Knows + - * / // % ** ! ( ), percentages ("15% of 240", "80 + 10%"), units ("5 km / 20 min to m/s",
    "20 degC to degF"), sqrt cbrt exp ln log log2 log10 sin cos tan asin acos atan sinh cosh tanh degrees radians abs
    floor ceil round min max sum mean median factorial gcd lcm comb perm, and pi, e, tau. Angles are in radians.

    Args:
        expression: What to calculate, such as "sqrt(2) * 3/4" or "3 ft + 2 in to cm".
    """
    if len(expression) > MOST_CHARACTERS:
        raise ToolError(f"the expression has {len(expression)} characters. fix: at most {MOST_CHARACTERS}")
    return presented(evaluate(read(expression)))


def presented(value: Value) -> str:
    """A value as text. ``≈`` stands before what is rounded; a fraction that no decimal can give is shown as both."""
    if not is_quantity(value):
        return _number_text(value)
    if value.dimensionless and not value.unit_items():
        return _number_text(value.magnitude)
    return f"{_number_text(value.magnitude)} {unit_text(value)}"


def _number_text(number: Number) -> str:
    if not isinstance(number, Fraction):
        return f"≈ {_rounded_text(number)}"
    if number.denominator == 1:
        return str(number.numerator)
    decimal = _decimal_text(number)
    if decimal is not None:
        return decimal
    exact = f"{number.numerator}/{number.denominator}"
    near = _rounded_text(mp().mpf(number.numerator) / number.denominator)
    return f"{exact} ≈ {near}" if len(exact) <= 2 * _MOST_DECIMALS else f"≈ {near}"


def _decimal_text(number: Fraction) -> str | None:
    """The number as a decimal that ends, or None where there is none that is short."""
    rest, places = number.denominator, 0
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places += max(twos, fives)
    if rest != 1 or places > _MOST_DECIMALS:
        return None
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _rounded_text(number: Number) -> str:
    if abs(number) < mp().mpf(10) ** -40:
        # What 50 digits leave of a zero, such as sin(pi).
        return "0"
    return str(mp().nstr(number, SHOWN_DIGITS)).removesuffix(".0")
