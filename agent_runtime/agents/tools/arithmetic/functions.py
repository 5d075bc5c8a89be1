"""The functions and constants of the calculator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from agent_runtime.agents.tools.arithmetic.values import Number, Value, is_quantity, mp, plain, rounded, units, whole
from agent_runtime.agents.tools.errors import ToolError

MOST_FACTORIAL = 1000
_TURN = {"sin", "cos", "tan"}


def constant(name: str) -> Number | None:
    """The constant of that name."""
    if name in ("pi", "e", "tau"):
        return {"pi": mp().pi, "e": mp().e, "tau": 2 * mp().pi}[name] * 1
    return None


def call(name: str, arguments: Sequence[Value]) -> Value:
    """Call the function of that name.

    Raises:
        ToolError: there is none, it takes another number of arguments, or it has no value there.
    """
    least, most, function = _FUNCTIONS.get(name) or _unknown(name)
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} or more" if most > 2 else f"{least} to {most}"
        raise ToolError(f"{name} takes {wanted} values, not {len(arguments)}")
    return function(arguments)


def is_function(name: str) -> bool:
    """Whether there is a function of that name."""
    return name in _FUNCTIONS


def power(base: Value, exponent: Value) -> Value:
    """The base to the power of the exponent: exact where that is possible.

    Raises:
        ToolError: it is no real number, or too large.
    """
    by = plain(exponent, "an exponent")
    if is_quantity(base):
        if not isinstance(by, Fraction):
            raise ToolError("a quantity with a unit takes a whole number or a fraction as its exponent")
        return units().Quantity(power(base.magnitude, by), base.units ** (int(by) if by.denominator == 1 else by))
    if base == 0 and by < 0:
        raise ToolError("division by zero: zero to a negative power")
    if isinstance(base, Fraction) and isinstance(by, Fraction):
        exact = _exact_power(base, by)
        if exact is not None:
            return exact
    if base < 0 and by != int(by):
        raise ToolError("a negative number to the power of a fraction is no real number")
    return mp().power(rounded(base), rounded(by))


def factorial(value: Value) -> Fraction:
    """The factorial of a whole number.

    Raises:
        ToolError: it is none, negative or too large.
    """
    number = whole(value, "factorial")
    if not 0 <= number <= MOST_FACTORIAL:
        raise ToolError(f"factorial takes 0 to {MOST_FACTORIAL}, not {number}")
    return Fraction(math.factorial(number))


def _exact_power(base: Fraction, by: Fraction) -> Fraction | None:
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size * abs(by) > 20_000:
        raise ToolError("the power is too large")
    root = base if by.denominator == 1 else _exact_root(base, by.denominator)
    return None if root is None else root**by.numerator


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    if value < 0 or degree > 64:
        return None
    above, below = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    return None if above is None or below is None else Fraction(above, below)


def _whole_root(value: int, degree: int) -> int | None:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None


def _unknown(name: str) -> tuple[int, int, Callable[[Sequence[Value]], Value]]:
    raise ToolError(f"there is no function {name!r}. fix: one of {', '.join(sorted(_FUNCTIONS))}")


def _real(name: str, domain: Callable[[Number], bool] | None = None) -> Callable[[Sequence[Value]], Value]:
    """A function of mpmath's of one real number."""

    def function(arguments: Sequence[Value]) -> Value:
        value = arguments[0]
        if name in _TURN and is_quantity(value):
            value = value.to("radian").magnitude
        number = plain(value, name)
        if domain is not None and not domain(number):
            raise ToolError(f"{name} has no real value there")
        if name in ("exp", "sinh", "cosh") and abs(number) > 10_000:
            raise ToolError(f"{name}: the result is too large")
        return getattr(mp(), name)(rounded(number))

    return function


def _log(arguments: Sequence[Value]) -> Value:
    number = plain(arguments[0], "log")
    base = plain(arguments[1], "log") if len(arguments) > 1 else None
    if number <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise ToolError("log has no real value there")
    if base is not None and isinstance(number, Fraction) and isinstance(base, Fraction):
        guess = round(mp().log(rounded(number)) / mp().log(rounded(base)))
        if abs(guess) < 10_000 and _exact_power(base, Fraction(guess)) == number:
            return Fraction(guess)
    natural = mp().log(rounded(number))
    return natural if base is None else natural / mp().log(rounded(base))


def _to_base(base: int) -> Callable[[Sequence[Value]], Value]:
    return lambda arguments: _log([arguments[0], Fraction(base)])


def _on_magnitude(change: Callable[[Number], Number]) -> Callable[[Sequence[Value]], Value]:
    def function(arguments: Sequence[Value]) -> Value:
        value = arguments[0]
        return units().Quantity(change(value.magnitude), value.units) if is_quantity(value) else change(value)

    return function


def _round(arguments: Sequence[Value]) -> Value:
    places = whole(arguments[1], "round") if len(arguments) > 1 else 0
    if abs(places) > 1000:
        raise ToolError("round takes -1000 to 1000 places")

    def change(number: Number) -> Number:
        exact = number if isinstance(number, Fraction) else Fraction(str(number))
        scaled = exact * Fraction(10) ** places
        # Half goes away from zero, as people are taught.
        nearest = math.floor(abs(scaled) + Fraction(1, 2))
        return Fraction(nearest if scaled >= 0 else -nearest) / Fraction(10) ** places

    return _on_magnitude(change)(arguments)


def _sum(arguments: Sequence[Value]) -> Value:
    total = arguments[0]
    for value in arguments[1:]:
        total = add(total, value)
    return total


def _median(arguments: Sequence[Value]) -> Value:
    ordered = sorted(arguments)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return add(ordered[middle - 1], ordered[middle]) / Fraction(2)


def add(left: Value, right: Value) -> Value:
    """The sum; one that holds a rounded number is rounded."""
    left, right = alike(left, right)
    return left + right


def alike(left: Value, right: Value) -> tuple[Value, Value]:
    """Two values whose numbers are both exact or both rounded."""

    def number(value: Value) -> Number:
        return value.magnitude if is_quantity(value) else value

    if isinstance(number(left), Fraction) == isinstance(number(right), Fraction):
        return left, right
    return (
        _on_magnitude(rounded)([left]),
        _on_magnitude(rounded)([right]),
    )


def _of_whole(name: str, function: Callable[..., int]) -> Callable[[Sequence[Value]], Value]:
    return lambda arguments: Fraction(function(*(whole(value, name) for value in arguments)))


def _choices(name: str, function: Callable[[int, int], int]) -> Callable[[Sequence[Value]], Value]:
    def chosen(arguments: Sequence[Value]) -> Value:
        of, several = whole(arguments[0], name), whole(arguments[1], name)
        if not 0 <= several <= MOST_FACTORIAL or not 0 <= of <= MOST_FACTORIAL:
            raise ToolError(f"{name} takes 0 to {MOST_FACTORIAL}")
        return Fraction(function(of, several))

    return chosen


def _floor(number: Number) -> Fraction:
    return Fraction(math.floor(number) if isinstance(number, Fraction) else int(mp().floor(number)))


_MANY = 100
_FUNCTIONS: dict[str, tuple[int, int, Callable[[Sequence[Value]], Value]]] = {
    "sqrt": (1, 1, lambda arguments: power(arguments[0], Fraction(1, 2))),
    "cbrt": (1, 1, lambda arguments: power(arguments[0], Fraction(1, 3))),
    "exp": (1, 1, _real("exp")),
    "ln": (1, 1, _log),
    "log": (1, 2, _log),
    "log2": (1, 1, _to_base(2)),
    "log10": (1, 1, _to_base(10)),
    **{name: (1, 1, _real(name)) for name in ("sin", "cos", "tan", "atan", "sinh", "cosh", "tanh")},
    **{name: (1, 1, _real(name, lambda number: abs(number) <= 1)) for name in ("asin", "acos")},
    "degrees": (1, 1, lambda arguments: rounded(plain(arguments[0], "degrees")) * 180 / mp().pi),
    "radians": (1, 1, lambda arguments: rounded(plain(arguments[0], "radians")) * mp().pi / 180),
    "abs": (1, 1, _on_magnitude(abs)),
    "floor": (1, 1, _on_magnitude(_floor)),
    "ceil": (1, 1, _on_magnitude(lambda number: -_floor(-number))),
    "round": (1, 2, _round),
    "min": (1, _MANY, min),
    "max": (1, _MANY, max),
    "sum": (1, _MANY, _sum),
    "mean": (1, _MANY, lambda arguments: _sum(arguments) / Fraction(len(arguments))),
    "median": (1, _MANY, _median),
    "factorial": (1, 1, lambda arguments: factorial(arguments[0])),
    "gcd": (1, _MANY, _of_whole("gcd", math.gcd)),
    "lcm": (1, _MANY, _of_whole("lcm", math.lcm)),
    "comb": (2, 2, _choices("comb", math.comb)),
    "perm": (2, 2, _choices("perm", math.perm)),
}
