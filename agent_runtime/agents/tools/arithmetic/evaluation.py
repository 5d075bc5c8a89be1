"""Computes what was read: walks the syntax tree and takes nothing in it but arithmetic."""

from __future__ import annotations

import ast
import operator
from fractions import Fraction
from typing import Any

from agent_runtime.agents.tools.arithmetic import functions
from agent_runtime.agents.tools.arithmetic.reading import NAME_PREFIX, NUMBER_PREFIX, Reading
from agent_runtime.agents.tools.arithmetic.values import (
    Value,
    bounded,
    is_quantity,
    mp,
    rounded,
    unit_named,
    units,
)
from agent_runtime.agents.tools.errors import ToolError

MOST_DEPTH = 100
_SIMPLE: dict[type[ast.operator], Any] = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def evaluate(reading: Reading) -> Value:
    """The value of an expression, converted where that was asked for.

    Raises:
        ToolError: it has none; says why.
    """
    try:
        value = _as_value(_compute(reading.tree, reading.numbers, 0))
        if reading.unit is None:
            return value
        return _converted(value, _compute(reading.unit, reading.numbers, 0))
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        # pint's own errors of units are TypeErrors and ValueErrors, and their texts say which units did not fit.
        raise ToolError(f"it cannot be computed: {str(error)[:300]}") from error


def _compute(node: ast.expr, numbers: dict[str, Fraction], depth: int) -> Any:
    """A Value, or a unit of pint's that stands alone."""
    if depth > MOST_DEPTH:
        raise ToolError(f"the expression is nested more than {MOST_DEPTH} deep")

    def inner(part: ast.expr) -> Any:
        return _compute(part, numbers, depth + 1)

    match node:
        case ast.Name(id=name) if name.startswith(NUMBER_PREFIX):
            return bounded(numbers[name])
        case ast.Name(id=name):
            return _named(name.removeprefix(NAME_PREFIX))
        case ast.Attribute(value=of, attr="percent"):
            return _as_value(inner(of)) / Fraction(100)
        case ast.Attribute(value=of, attr="factorial"):
            return functions.factorial(_as_value(inner(of)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_as_value(inner(operand))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _as_value(inner(operand))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as sign, right=ast.Attribute(value=of, attr="percent")):
            # As on a pocket calculator: 80 + 10% is 88, a percentage of what stands before it.
            share = _as_value(inner(of)) / Fraction(100)
            return bounded(_multiplied(_as_value(inner(left)), _SIMPLE[type(sign)](Fraction(1), share)))
        case ast.BinOp(left=left, op=sign, right=right):
            return bounded(_combined(sign, inner(left), inner(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            values = [_as_value(inner(argument)) for argument in arguments]
            return bounded(functions.call(name.removeprefix(NAME_PREFIX), values))
        case _:
            raise ToolError(
                "the expression holds something that is no arithmetic. fix: numbers, signs, functions, units"
            )


def _named(name: str) -> Any:
    known = functions.constant(name)
    if known is not None:
        return known
    try:
        return unit_named(name)  # min is a unit, too
    except ToolError as error:
        if functions.is_function(name):
            raise ToolError(f"{name} is a function. fix: {name}(...)") from error
        raise


def _is_unit(value: Any) -> bool:
    return hasattr(value, "dimensionality") and not is_quantity(value)


def _as_value(value: Any) -> Value:
    """A unit that stands alone means one of it."""
    return units().Quantity(Fraction(1), value) if _is_unit(value) else value


def _combined(sign: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(sign, ast.Mult) and _is_unit(right) and not _is_unit(left) and not is_quantity(left):
        # Not a product: 20 degC are not 20 times one degree, whose scale begins elsewhere.
        return units().Quantity(left, right)
    left, right = _as_value(left), _as_value(right)
    if isinstance(sign, ast.Pow):
        return functions.power(left, right)
    if isinstance(sign, ast.Mult):
        return _multiplied(left, right)
    left, right = functions.alike(left, right)
    if type(sign) in _SIMPLE:
        return _SIMPLE[type(sign)](left, right)
    if not isinstance(sign, ast.Div | ast.FloorDiv | ast.Mod):
        raise ToolError("the expression has a sign that is not known. fix: + - * / // % **")
    if not is_quantity(right) and right == 0:
        raise ToolError("division by zero")
    if isinstance(sign, ast.Div):
        return left / right
    return _whole_division(sign, left, right)


def _multiplied(left: Value, right: Value) -> Value:
    left, right = functions.alike(left, right)
    return left * right


def _whole_division(sign: ast.operator, left: Value, right: Value) -> Value:
    if is_quantity(left) or is_quantity(right):
        raise ToolError("// and % take numbers without units")
    if not isinstance(left, Fraction):
        quotient = mp().floor(left / right)
        return quotient if isinstance(sign, ast.FloorDiv) else left - quotient * right
    return Fraction(left // right) if isinstance(sign, ast.FloorDiv) else left % right


def _converted(value: Value, unit: Any) -> Value:
    target = unit if _is_unit(unit) else _unit_of(unit)
    if not is_quantity(value):
        value = units().Quantity(value, "dimensionless")
    try:
        return value.to(target)
    except TypeError:  # a rounded number, where a unit's factor is an exact fraction
        factor = units().Quantity(Fraction(1), value.units).to(target).magnitude
        return units().Quantity(value.magnitude * rounded(factor), target)


def _unit_of(value: Any) -> Any:
    if is_quantity(value) and value.magnitude == 1:
        return value.units
    raise ToolError("what follows 'to' is no unit. fix: such as km/h")
