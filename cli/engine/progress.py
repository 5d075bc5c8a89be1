"""What the engine does, told to a person while it happens, and its errors, kept for the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from pulumi.automation import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata

from cli.console import Step, note

_MARKS = {OpType.CREATE: "+", OpType.UPDATE: "~", OpType.DELETE: "-", OpType.CREATE_REPLACEMENT: "±"}
_WORDS = {
    OpType.CREATE: ("creating", "created"),
    OpType.UPDATE: ("updating", "updated"),
    OpType.DELETE: ("deleting", "deleted"),
    OpType.CREATE_REPLACEMENT: ("replacing", "replaced"),
}
_REFRESH_WORDS = {OpType.UPDATE: "differs", OpType.DELETE: "gone"}
"""What a refresh says of the world by the names of operations on the state."""
_PROVIDER_PREFIX = "pulumi:providers:"
_NOISE = ("update failed", "preview failed", "destroy failed", "refresh failed")
"""What the engine says once more after the error itself."""
_TAGS = re.compile(r"<\{%.*?%\}>")
_ENGINE_WORDS = re.compile(r"^(error: )?(\d+ errors? occurred:\s*\*?\s*)?", re.DOTALL)


Kind = Literal["up", "preview", "refresh", "drift", "destroy"]


@dataclass
class Progress:
    """Follows the events of one operation."""

    step: Step
    kind: Kind
    changes: dict[str, int] = field(default_factory=dict[str, int])
    """Resources by what happened to them: ``{"created": 3}``. Unchanged ones are not counted."""
    resources: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """What happened to which, in the order in which it did."""
    errors: list[str] = field(default_factory=list[str])

    def on_event(self, event: EngineEvent) -> None:
        """Take in one event of the engine."""
        if event.resource_pre_event is not None:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None:
            self._end(event.res_outputs_event.metadata)
        elif event.diagnostic_event is not None:
            self._diagnose(event.diagnostic_event)

    def _begin(self, metadata: StepEventMetadata) -> None:
        if metadata.op in _WORDS and _is_worth_telling(metadata):
            self.step.update(f"{_WORDS[metadata.op][0]} {_label(metadata.urn)}")

    def _end(self, metadata: StepEventMetadata) -> None:
        if not _is_worth_telling(metadata):
            return
        words = _REFRESH_WORDS if self.kind in ("refresh", "drift") else {op: done for op, (_, done) in _WORDS.items()}
        if metadata.op not in words:
            return
        word = words[metadata.op]
        self.changes[word] = self.changes.get(word, 0) + 1
        self.resources.append((_label(metadata.urn), word))
        told = f"to be {word}" if self.kind == "preview" else word
        note(f"  {_MARKS[metadata.op]} {_label(metadata.urn)} {told}")

    def _diagnose(self, event: DiagnosticEvent) -> None:
        text = _TAGS.sub("", f"{event.prefix or ''}{event.message or ''}").strip()
        if not text or event.severity in ("debug", None):
            return
        if event.severity == "error":
            cleaned = _ENGINE_WORDS.sub("", text).strip()
            told = f"{_label(event.urn)}: {cleaned}" if event.urn else cleaned
            if cleaned and cleaned not in _NOISE and told not in self.errors:
                self.errors.append(told)
        elif event.ephemeral:
            self.step.update(text.splitlines()[0])
        else:
            note(f"  {text}")


def _label(urn: str) -> str:
    """A resource's name and kind, for a person: ``assistant-0 (Process)``."""
    parts = urn.split("::")
    kind = parts[-2].split("$")[-1].split(":")[-1] if len(parts) > 1 else ""
    return f"{parts[-1]} ({kind})"


def _is_worth_telling(metadata: StepEventMetadata) -> bool:
    """Whether a resource stands for something real: components and providers only group others."""
    state = metadata.new or metadata.old
    return state is not None and bool(state.custom) and not metadata.type.startswith(_PROVIDER_PREFIX)
