"""From what a person or a model writes to a syntax tree: ``15% of 240``, ``5 km / 20 min to m/s``, ``2(3+4)``.

The text is cut into tokens, and these are written anew as an expression in Python's grammar, which Python's own parser
reads. Names and numbers are replaced on the way, so that no word means anything to Python and no decimal is rounded.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fractions import Fraction

from agent_runtime.agents.tools.errors import ToolError

MOST_EXPONENT = 3000
NAME_PREFIX = "n_"
NUMBER_PREFIX = "v_"

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+(?![\w.]))?)"
    r"|(?P<name>°?[^\W\d]\w*|°)|(?P<operator>\*\*|//|->|[-+*/%^()!,]))"
)
_SPELLINGS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "²": "^2", "³": "^3", "π": " pi ", "√": " sqrt "}  # noqa: RUF001 - what people really write
_WORDS = {"of": "*", "times": "*", "plus": "+", "minus": "-", "mod": "%"}
_DEGREES = {"°": "degree", "°C": "degC", "°F": "degF"}
_CONVERTS = ("to", "in", "as", "->")
_THOUSANDS = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?!\d)")


@dataclass(frozen=True)
class Reading:
    """An expression that was understood."""

    tree: ast.expr
    numbers: dict[str, Fraction]
    """The numbers in it, by the names that stand for them in the tree."""
    unit: ast.expr | None
    """What the result is to be converted to."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def read(expression: str) -> Reading:
    """Read an expression.

    Raises:
        ToolError: it cannot be read; says where.
    """
    tokens = _tokens(expression)
    if not tokens:
        raise ToolError("the expression is empty. fix: such as 2 * (3 + 4)")
    tokens, unit_tokens = _split_conversion(tokens)
    numbers: dict[str, Fraction] = {}
    tree = _parsed(_rewritten(tokens, numbers), expression)
    unit = _parsed(_rewritten(unit_tokens, numbers), expression) if unit_tokens else None
    return Reading(tree, numbers, unit)


def _tokens(expression: str) -> list[_Token]:
    text = expression
    for written, meant in _SPELLINGS.items():
        text = text.replace(written, meant)
    if not re.search(r"[^\W\d]\w*\s*\(", text):
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = text.strip().rstrip("=?").strip()
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            near = text[position:].strip()[:20]
            raise ToolError(
                f"the expression cannot be read at {near!r}. fix: numbers, + - * / ** ( ), functions, units"
            )
        kind = match.lastgroup or ""
        word = match[kind]
        if kind == "name" and word in _WORDS:
            kind, word = "operator", _WORDS[word]
        tokens.append(_Token(kind, _DEGREES.get(word, word)))
        position = match.end()
    return tokens


def _split_conversion(tokens: list[_Token]) -> tuple[list[_Token], list[_Token]]:
    """Cut at the last word that asks for a conversion: one that has something on both sides."""
    for index in range(len(tokens) - 2, 0, -1):
        following = tokens[index + 1]
        if tokens[index].text in _CONVERTS and following.kind == "name" and following.text not in _CONVERTS[:1]:
            return tokens[:index], tokens[index + 1 :]
    return tokens, []


def _rewritten(tokens: list[_Token], numbers: dict[str, Fraction]) -> str:
    """The tokens in Python's grammar. A number and the unit after it belong together more closely than any sign."""
    out: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if _joins(tokens[index - 1] if index else None, token):
            out.append("*")
        if token.kind == "number":
            value = _number_name(token.text, numbers)
            units = _unit_run(tokens, index + 1)
            if units:
                inner = "*".join(_unit_text(tokens, start, numbers) for start in units)
                out.append(f"({value}*{inner})")
                index = units[-1] + _unit_length(tokens, units[-1])
                continue
            out.append(value)
        elif token.kind == "name":
            out.append(f"{NAME_PREFIX}{token.text}")
        elif token.text == "%" and not _is_operand(following):
            out.append(".percent")
        elif token.text == "!":
            out.append(".factorial")
        else:
            out.append({"^": "**", "->": " "}.get(token.text, token.text))
        index += 1
    return " ".join(out)


def _joins(before: _Token | None, token: _Token) -> bool:
    """Whether two tokens that stand side by side are meant to be multiplied: ``2(3)``, ``kg m``, ``(1)(2)``."""
    if before is None or (token.kind == "operator" and token.text != "("):
        return False
    if before.kind == "number":
        return True
    if before.kind == "operator":
        return before.text in (")", "!") and token.kind != "number"
    return token.kind == "name"


def _is_operand(token: _Token | None) -> bool:
    return token is not None and (token.kind in ("number", "name") or token.text == "(")


def _unit_run(tokens: list[_Token], start: int) -> list[int]:
    """Where each name of a row of names begins that follows a number and is no function: ``5 kg m^2``."""
    found: list[int] = []
    index = start
    while index < len(tokens) and tokens[index].kind == "name":
        if index + 1 < len(tokens) and tokens[index + 1].text == "(":
            break
        found.append(index)
        index += _unit_length(tokens, index)
    return found


def _unit_length(tokens: list[_Token], index: int) -> int:
    powered = index + 2 < len(tokens) and tokens[index + 1].text in ("^", "**") and tokens[index + 2].kind == "number"
    return 3 if powered else 1


def _unit_text(tokens: list[_Token], index: int, numbers: dict[str, Fraction]) -> str:
    name = f"{NAME_PREFIX}{tokens[index].text}"
    if _unit_length(tokens, index) == 1:
        return name
    return f"{name}**{_number_name(tokens[index + 2].text, numbers)}"


def _number_name(text: str, numbers: dict[str, Fraction]) -> str:
    _, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent)) > MOST_EXPONENT:
        raise ToolError(f"the number {text[:40]} is too large. fix: an exponent of at most {MOST_EXPONENT}")
    name = f"{NUMBER_PREFIX}{len(numbers)}"
    numbers[name] = Fraction(text.rstrip("_"))
    return name


def _parsed(text: str, expression: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(
            f"{expression.strip()[:80]!r} is no expression. fix: such as 2 * (3 + 4) or 5 km to m"
        ) from error
