"""What was said in an agent's run as Markdown, for people."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent_runtime.agents.errors import TranscriptEntry
from agent_runtime.agents.teams.transcript import fenced

_SHOWN_CHARACTERS = 16_000


def markdown(title: str, entries: Sequence[TranscriptEntry]) -> str:
    """A run's transcript, in the order in which it was said."""
    parts = [f"# {title}"]
    for number, entry in enumerate(entries, start=1):
        who = f"{entry['role']} {entry['name']}" if "name" in entry else entry["role"]
        parts.append(f"## {number}. {who}")
        content = entry.get("content") or ""
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
        if text:
            parts.append(fenced(text[:_SHOWN_CHARACTERS]))
        parts += [
            f"Called `{call['name']}` with `{json.dumps(call['arguments'], ensure_ascii=False)}`"
            for call in entry.get("toolCalls", [])
        ]
    return "\n\n".join(parts) + "\n"
