"""Puts together what a member is asked, no longer than its model can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTERS_PER_TOKEN = 3
"""An estimate on the safe side: English has about four, code about three."""
_SET_ASIDE_TOKENS = 200
"""For the chat template and the schemas of tools."""


@dataclass(frozen=True)
class Section:
    """Something that is handed on: the task, a colleague's work, the output of tests."""

    title: str
    text: str
    keep: bool = False
    """Whether it must not be cut."""


def reply_tokens(context_length: int) -> int:
    """How long a member's reply may be: a quarter of the window, at most 2048 tokens."""
    return max(64, min(2048, context_length // 4))


def prompt_characters(context_length: int, instructions: str, *, with_tools: bool) -> int:
    """How long a prompt may be, so that the reply, the instructions and the results of tools fit beside it."""
    free = context_length - reply_tokens(context_length) - _SET_ASIDE_TOKENS - len(instructions) // CHARACTERS_PER_TOKEN
    return max(400, (free // 2 if with_tools else free) * CHARACTERS_PER_TOKEN)


def compose(request: str, sections: Sequence[Section], most_characters: int) -> tuple[str, tuple[str, ...]]:
    """The prompt, and what was cut to make it fit.

    The request stands last, where small models heed it most. Where there is too little room, the longest sections that
    may be cut give up their middle, until all of them are equally long.
    """
    filled = [section for section in sections if section.text.strip()]
    fixed = len(request) + sum(len(section.title) + 8 for section in filled)
    fixed += sum(len(section.text) for section in filled if section.keep)
    room = max(0, most_characters - fixed)
    share = _share([len(section.text) for section in filled if not section.keep], room)
    notes: list[str] = []
    parts: list[str] = []
    for section in filled:
        text = section.text.strip()
        if not section.keep and len(text) > share:
            notes.append(f"{len(text) - share} of {len(text)} characters of {section.title!r} were left out")
            text = _shortened(text, share)
        parts.append(f"## {section.title}\n{text}")
    return "\n\n".join([*parts, request]), tuple(notes)


def _share(lengths: Sequence[int], room: int) -> int:
    """The length to which the longer ones are cut, so that all together take ``room``."""
    rest = sorted(lengths)
    while rest and rest[0] * len(rest) <= room:
        room -= rest.pop(0)
    return room // len(rest) if rest else max(lengths, default=0)


def _shortened(text: str, most: int) -> str:
    mark = "\n[...]\n"
    if most <= len(mark) * 2:
        return text[:most]
    head = (most - len(mark)) * 2 // 3
    return f"{text[:head]}{mark}{text[len(text) - (most - len(mark) - head) :]}"
