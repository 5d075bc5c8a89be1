"""Which messages of a conversation are kept, and which are sent: whole turns, the newest.

A turn begins with the user's prompt and ends before the next one. Between the two are the calls that the model made
and the tools' results, which no server takes one without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart


def starts_turn(message: ModelMessage) -> bool:
    """Whether the message holds a user's prompt."""
    return isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)


def newest(messages: Sequence[ModelMessage], most: int) -> list[ModelMessage]:
    """At most ``most`` messages, the newest, beginning with a user's prompt.

    A last turn that is longer by itself keeps its prompt and its end; of the calls between, with their results, the
    newest that fit. The least that is given of a turn is its prompt and its answer.
    """
    if most <= 0:
        return []
    starts = [index for index, message in enumerate(messages) if starts_turn(message)]
    if not starts:
        return []
    fitting = [start for start in starts if len(messages) - start <= most]
    if fitting:
        return list(messages[fitting[0] :])
    prompt, *rest = messages[starts[-1] :]
    # A call and its results are two messages; the answer is one.
    tail = max(1, most - 1 - (most % 2))
    return [prompt, *rest[-tail:]]


def without_instructions(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """The messages without the instructions that stood before them: an agent sends its present ones."""
    return [
        replace(message, instructions=None) if isinstance(message, ModelRequest) and message.instructions else message
        for message in messages
    ]
