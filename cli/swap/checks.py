"""Whether a new model may take over: answers to prompts, known ones among them, errors, time to the first token."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.asking import Asking, Question, Reply
from cli.prompts import Prompt

_SHOWN_FAILURES = 10
_SHOWN_TEXT = 120
_SHORT_TOKENS = 24
BUILT_IN = (
    "Say hello in one short sentence.",
    "What is the capital of Japan?",
    "Write one sentence about the sea.",
    "Count from one to five.",
)
"""Asked of every model that chats, as a stream and whole. Any answer is good: what is right, only its users know."""


@dataclass(frozen=True)
class Verdict:
    """What the checks came to."""

    asked: int
    failures: tuple[tuple[str, str], ...]
    """Prompt and complaint."""
    ttft_seconds: tuple[float, ...]
    """Of every stream that came to its end, sorted."""

    @property
    def error_rate(self) -> float:
        """The share of prompts without a good answer."""
        return len(self.failures) / self.asked if self.asked else 0.0

    def ttft(self, share: float) -> float | None:
        """A percentile of the times to the first token by the nearest rank, in seconds; None without a stream."""
        if not self.ttft_seconds:
            return None
        return self.ttft_seconds[math.ceil(round(share * len(self.ttft_seconds), 9)) - 1]

    def objection(self, max_error_rate: float, max_ttft_seconds: float | None) -> str | None:
        """Why the model may not take over; None where it may.

        Args:
            max_error_rate: The share of prompts that may go wrong.
            max_ttft_seconds: What the 95th percentile of the time to the first token may be; None: anything.
        """
        if self.error_rate > max_error_rate:
            prompt, complaint = self.failures[0]
            return (
                f"{len(self.failures)} of {self.asked} checks failed, and {max_error_rate:.0%} may. The first: "
                f"{prompt[:_SHOWN_TEXT]!r}: {complaint}"
            )
        slow = self.ttft(0.95)
        if max_ttft_seconds is not None and (slow is None or slow > max_ttft_seconds):
            told = "is not known, since no stream came to its end" if slow is None else f"is {slow:.3f} s"
            return f"the 95th percentile of the time to the first token {told}; {max_ttft_seconds:g} s is the limit"
        return None

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "asked": self.asked,
            "failed": len(self.failures),
            "errorRate": round(self.error_rate, 6),
            "ttftSeconds": {
                name: None if (value := self.ttft(share)) is None else round(value, 4)
                for name, share in (("p50", 0.5), ("p95", 0.95))
            },
            "failures": [{"prompt": prompt, "problem": why} for prompt, why in self.failures[:_SHOWN_FAILURES]],
        }


def run_checks(
    asking: Asking, name: str, prompts: Sequence[Prompt], *, chats: bool, progress: Callable[[str], None]
) -> Verdict:
    """Ask everything, one after another.

    Args:
        asking: The router.
        name: What to ask for.
        prompts: The file's; without any, the built-in ones.
        chats: Whether the model answers at all; else its vectors are looked at.
        progress: Told how far it is.
    """
    asked: list[tuple[str, str | None, Reply]] = []
    if not chats:
        every = [(Question(prompt, embedding=True), None) for prompt in BUILT_IN]
    elif prompts:
        every = [(one.question, one) for one in prompts]
    else:
        every = [
            (Question(prompt, max_tokens=_SHORT_TOKENS, stream=stream), None)
            for prompt in BUILT_IN
            for stream in (True, False)
        ]
    for number, (question, prompt) in enumerate(every, start=1):
        progress(f"{number} of {len(every)}")
        reply = asking.ask(name, question)
        complaint = (prompt or Prompt(prompt=question.prompt)).complaint(reply)
        asked.append((question.prompt, complaint, reply))
    times = [reply.ttft_seconds for _, _, reply in asked if reply.ttft_seconds is not None and reply.problem is None]
    failures = tuple((prompt, complaint) for prompt, complaint, _ in asked if complaint is not None)
    return Verdict(len(asked), failures, tuple(sorted(times)))
