"""What the engine does, told to a person while it happens, and its errors, kept for the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pulumi.automation import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata

from cli.console import Step, note

_MARKS = {
    OpType.CREATE: "+",
    OpType.UPDATE: "~",
    OpType.DELETE: "-",
    OpType.REPLACE: "±",
    OpType.CREATE_REPLACEMENT: "±",
    OpType.DELETE_REPLACED: "-",
    OpType.READ: ">",
    OpType.REFRESH: " ",
}
_WORDS = {
    OpType.CREATE: ("creating", "created"),
    OpType.UPDATE: ("updating", "updated"),
    OpType.DELETE: ("deleting", "deleted"),
    OpType.CREATE_REPLACEMENT: ("replacing", "replaced"),
    OpType.REFRESH: ("looking at", "looked at"),
}
_QUIET = (OpType.SAME, OpType.READ, OpType.REFRESH, OpType.REPLACE, OpType.DELETE_REPLACED)
_TAGS = re.compile(r"<\{%.*?%\}>")
_ENGINE_WORDS = re.compile(r"^(error: )?(\d+ errors? occurred:\s*\*?\s*)?", re.DOTALL)


@dataclass
class Progress:
    """Follows the events of one operation."""

    step: Step
    changes: dict[str, int] = field(default_factory=dict[str, int])
    """Resources by what happened to them: ``{"created": 3}``. Unchanged ones are not counted."""
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
        if metadata.op in _WORDS and metadata.op != OpType.SAME and not _is_component(metadata):
            self.step.update(f"{_WORDS[metadata.op][0]} {_label(metadata.urn)}")

    def _end(self, metadata: StepEventMetadata) -> None:
        if metadata.op in _QUIET or metadata.op not in _WORDS:
            return
        word = _WORDS[metadata.op][1]
        self.changes[word] = self.changes.get(word, 0) + 1
        if not _is_component(metadata):
            note(f"  {_MARKS[metadata.op]} {_label(metadata.urn)} {word}")

    def _diagnose(self, event: DiagnosticEvent) -> None:
        text = _TAGS.sub("", f"{event.prefix or ''}{event.message or ''}").strip()
        if not text or event.severity in ("debug", None):
            return
        if event.severity == "error":
            cleaned = _ENGINE_WORDS.sub("", text).strip()
            if cleaned and cleaned not in self.errors:
                self.errors.append(f"{_label(event.urn)}: {cleaned}" if event.urn else cleaned)
        elif event.ephemeral:
            self.step.update(text.splitlines()[0])
        else:
            note(f"  {text}")


def _label(urn: str) -> str:
    """A resource's name and kind, for a person: ``assistant-0 (Process)``."""
    parts = urn.split("::")
    kind = parts[-2].split("$")[-1].split(":")[-1] if len(parts) > 1 else ""
    return f"{parts[-1]} ({kind})"


def _is_component(metadata: StepEventMetadata) -> bool:
    return not getattr(metadata.new or metadata.old, "custom", True)
