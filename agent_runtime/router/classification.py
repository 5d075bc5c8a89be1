"""What is known of a prompt. Apart from what finds it out, which takes a moment to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Classification:
    """What a request is, and why."""

    private: bool
    """Whether it must not leave the fleet."""
    complex: bool
    """Whether it asks for more than a small model gives."""
    reasons: tuple[str, ...]
    """Why, without any of the prompt."""
