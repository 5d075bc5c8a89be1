"""What is asked in a benchmark: the built-in prompts of agents, or a file of one's own."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fleet_spec.errors import BadInputError

_AGENTS = {
    "You are a research assistant. Answer from what you know, name what you are unsure of, and keep to the point.": (
        "What are the main causes of coral bleaching, and which of them can a coastal town influence?",
        "Compare heat pumps and gas boilers for a brick house built in 1930: cost, comfort, and carbon.",
        "Summarise what is known about how sleep changes memory, in five short points.",
        "Which questions should I ask before I trust a study with forty participants?",
    ),
    "You are a careful programmer. Explain your plan in a sentence, then write the code, then name one test for it.": (
        "Write a Python function that merges overlapping intervals and keeps their order.",
        "A Go service leaks memory under load. Which three measurements would you take first, and why?",
        "Turn this into a parametrised query: SELECT * FROM orders WHERE customer = 'x' AND total > 100.",
        "Review this: def mean(values): return sum(values) / len(values). What can go wrong?",
    ),
    "You solve problems step by step and check the result at the end.": (
        "A train leaves at 09:40 and arrives at 13:05 after a stop of 25 minutes. How long did it move?",
        "A shop sells a desk for 240 dollars after a discount of 20 percent. What did it cost before?",
        "How many different four-digit codes have no repeated digit?",
        "Seven people share a bill of 312.20 dollars and a tip of 15 percent. What does each pay?",
    ),
    "You write clear and friendly prose for the readers of a local newspaper.": (
        "Write the opening of a story about a lighthouse keeper who finds a letter.",
        "Draft a short announcement: the library opens on Sundays from the first of March.",
        "Describe the smell of a bakery at five in the morning to somebody who cannot smell.",
        "Write four lines for the farewell card of a colleague who repaired every printer.",
    ),
}
"""Instructions -> questions: what the agents of a fleet are asked."""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """One conversation whose next turn is asked for."""

    messages: tuple[Message, ...]

    def marked(self, mark: str) -> Prompt:
        """The same with ``mark`` before the first turn of the user, where that is plain text."""
        turns = list(self.messages)
        for number, turn in enumerate(turns):
            if turn["role"] == "user" and isinstance(turn["content"], str):
                turns[number] = {**turn, "content": f"{mark} {turn['content']}"}
                break
        return Prompt(tuple(turns))


def built_in() -> list[Prompt]:
    """The built-in prompts, each with the instructions of its agent."""
    return [
        Prompt(({"role": "system", "content": instructions}, {"role": "user", "content": question}))
        for instructions, questions in _AGENTS.items()
        for question in questions
    ]


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts from a file, one a line; empty lines are left out.

    In a ``.jsonl`` file a line is ``{"prompt": "..."}`` or ``{"messages": [...]}``; in any other it is the prompt.

    Raises:
        BadInputError: the file cannot be read, or a line is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInputError(f"--prompts {path} cannot be read: {why}. fix: name a .txt or .jsonl file") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise BadInputError(f"--prompts {path} holds no prompt. fix: write one a line")
    if path.suffix != ".jsonl":
        return [Prompt(({"role": "user", "content": line.strip()},)) for _, line in lines]
    return [_from_json(line, f"{path}:{number}") for number, line in lines]


def _from_json(line: str, where: str) -> Prompt:
    try:
        found: object = json.loads(line)
    except ValueError as error:
        raise BadInputError(f"{where} is not JSON: {error}. fix: an object a line") from error
    fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    prompt, messages = fields.get("prompt"), fields.get("messages")
    if isinstance(prompt, str) and prompt.strip():
        return Prompt(({"role": "user", "content": prompt},))
    if isinstance(messages, list) and messages and all(_is_message(turn) for turn in cast("list[object]", messages)):
        return Prompt(tuple(cast("list[Message]", messages)))
    raise BadInputError(
        f'{where} has no prompt. fix: {{"prompt": "..."}} or {{"messages": [{{"role": "user", "content": "..."}}]}}'
    )


def _is_message(turn: object) -> bool:
    return isinstance(turn, dict) and {"role", "content"} <= cast("dict[str, Any]", turn).keys()


class PromptOrder:
    """Which prompt each request of a run has: all in an order drawn with the seed, then all again in another."""

    def __init__(self, prompts: Sequence[Prompt], seed: int, *, unique: bool) -> None:
        """Use ``prompts``; with ``unique`` each request's has a mark that no other has, of this run or another."""
        self._prompts = list(prompts)
        self._random = random.Random(seed)  # noqa: S311 - an order, not a secret
        self._round: list[Prompt] = []
        # Not from the seed: a server that is measured again would find the first run's prompts in its cache.
        self._mark = secrets.token_hex(3) if unique else None
        self._given = 0

    def take(self) -> Prompt:
        """The next request's prompt."""
        if not self._round:
            self._round = self._random.sample(self._prompts, len(self._prompts))
        prompt = self._round.pop()
        self._given += 1
        return prompt if self._mark is None else prompt.marked(f"({self._mark}-{self._given})")
