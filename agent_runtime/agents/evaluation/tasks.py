"""Tasks for agents, each with a check of its result that no opinion enters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from agent_runtime.agents.result import AgentResult

Check = Callable[[AgentResult[Any]], str | None]
"""Why a result is wrong; None where it is right."""

_PRICES_USD = {"desk": 240.0, "chair": 85.5, "lamp": 32.25}
_STOCK = {"desk": 4, "chair": 0, "lamp": 17}
_CAPITALS = {"peru": "Lima", "kenya": "Nairobi", "norway": "Oslo"}


@dataclass(frozen=True)
class Task:
    """One task."""

    name: str
    kind: str
    """arithmetic, lookup, multi_step, extraction or repair."""
    prompt: str
    check: Check
    tools: Sequence[Callable[..., Any]] = ()
    output_type: Any = str


def add(a: float, b: float) -> float:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a + b


def multiply(a: float, b: float) -> float:
    """Multiply two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a * b


def price_of(article: str) -> float:
    """The price of an article of the shop, in US dollars.

    Args:
        article: Its name, such as desk.
    """
    return _PRICES_USD[article.lower().rstrip("s")]


def in_stock(article: str) -> int:
    """How many of an article the shop has.

    Args:
        article: Its name, such as desk.
    """
    return _STOCK[article.lower().rstrip("s")]


def capital_of(country: str) -> str:
    """The capital of a country.

    Args:
        country: Its English name.
    """
    return _CAPITALS[country.lower()]


class Person(BaseModel):
    """A person who is named in a text."""

    name: str
    age: int
    city: str


class Order(BaseModel):
    """An order: what, and how many."""

    article: str
    quantity: int
    express: bool


def says(*wanted: str, called: str | None = None) -> Check:
    """The answer holds each text, capitals aside, and a tool of that name was called, where one is named."""

    def check(result: AgentResult[Any]) -> str | None:
        text = re.sub(r"(?<=\d),(?=\d{3})", "", result.text.lower())
        missing = [word for word in wanted if word.lower() not in text]
        if missing:
            return f"the answer does not say {', '.join(missing)}: {result.text[:200]!r}"
        return _uncalled(result, called)

    return check


def calls(name: str, **arguments: Any) -> Check:
    """A tool was called with these arguments, numbers and capitals aside."""

    def check(result: AgentResult[Any]) -> str | None:
        wanted = _plain(arguments)
        made = [_plain(call["arguments"]) for call in _made(result) if call["name"] == name]
        return None if wanted in made else f"{name} was not called with {json.dumps(arguments)}, but {made}"

    return check


def gives(**fields: Any) -> Check:
    """The structured output has these values, capitals aside."""

    def check(result: AgentResult[Any]) -> str | None:
        output: Any = result.output
        given = output.model_dump() if isinstance(output, BaseModel) else output
        return None if _plain(given) == _plain(fields) else f"it gave {given}"

    return check


def both(*checks: Check) -> Check:
    """Each of the checks holds."""
    return lambda result: next((told for one in checks if (told := one(result)) is not None), None)


def either(*checks: Check) -> Check:
    """One of the checks holds."""

    def check(result: AgentResult[Any]) -> str | None:
        told = [one(result) for one in checks]
        return None if None in told else told[0]

    return check


def _made(result: AgentResult[Any]) -> list[dict[str, Any]]:
    return [call for entry in result.transcript for call in entry.get("toolCalls", [])]


def _uncalled(result: AgentResult[Any], name: str | None) -> str | None:
    made = [call["name"] for call in _made(result)]
    return None if name is None or name in made else f"{name} was not called"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value.lower() if isinstance(value, str) else value for key, value in values.items()}


TASKS: tuple[Task, ...] = (
    Task(
        "add",
        "arithmetic",
        "What is 4821 plus 2794? Use the tool add and answer with the number.",
        both(says("7615"), calls("add", a=4821, b=2794)),
        (add, multiply),
    ),
    Task(
        "multiply",
        "arithmetic",
        "What is 37 times 89? Use the tool multiply and answer with the number.",
        both(says("3293"), calls("multiply", a=37, b=89)),
        (add, multiply),
    ),
    Task(
        "capital",
        "lookup",
        "What is the capital of Peru? Look it up with the tool capital_of.",
        says("Lima", called="capital_of"),
        (capital_of,),
    ),
    Task(
        "stock",
        "lookup",
        "How many lamps does the shop have? Look it up with the tool in_stock.",
        says("17", called="in_stock"),
        (in_stock, price_of),
    ),
    Task(
        "bill",
        "multi_step",
        "What do 3 desks cost together? Get the price with price_of, then multiply.",
        both(says("720", called="price_of"), calls("multiply", a=240, b=3)),
        (price_of, in_stock, multiply, add),
    ),
    Task(
        "two capitals",
        "multi_step",
        "Name the capitals of Kenya and of Norway. Look each up with the tool capital_of.",
        both(says("Nairobi", "Oslo"), calls("capital_of", country="Kenya"), calls("capital_of", country="Norway")),
        (capital_of,),
    ),
    Task(
        "person",
        "extraction",
        "Give the person in this sentence: Ada Lovelace, 36 years old, lives in London.",
        gives(name="Ada Lovelace", age=36, city="London"),
        output_type=Person,
    ),
    Task(
        "order",
        "extraction",
        "Give the order in this sentence: Please send me 12 lamps, and no need to hurry.",
        either(gives(article="lamps", quantity=12, express=False), gives(article="lamp", quantity=12, express=False)),
        output_type=Order,
    ),
    Task(
        "broken call",
        "repair",
        "This tool call is broken: {'name': add, arguments: {a: 5, b: 6,}. Make it as it was meant, and say its sum.",
        both(says("11"), calls("add", a=5, b=6)),
        (add, multiply),
    ),
    Task(
        "wrong name",
        "repair",
        'This tool call has a wrong name: {"name": "capitalOf", "arguments": {"land": "Norway"}}. '
        "Make it as it was meant, and say its result.",
        says("Oslo", called="capital_of"),
        (capital_of,),
    ),
)
"""The suite. A task's name and prompt stay as they are once published, so that scores can be compared."""
