"""What can go wrong with an agent. Each error says what it was, with which value, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet_spec.errors import BadInputError, PaddockError

TranscriptEntry = dict[str, Any]
"""One message of a run as plain JSON data: ``role`` and what belongs to it."""


class AgentError(PaddockError):
    """A run that did not reach its end. Carries what was said until then."""

    def __init__(self, message: str, transcript: Sequence[TranscriptEntry] = ()) -> None:
        super().__init__(message)
        self.transcript = list(transcript)


class LimitExceededError(AgentError):
    """A run was stopped: it took more steps, tokens, tool calls or seconds than it may."""

    def __init__(self, what: str, limit: float, transcript: Sequence[TranscriptEntry] = ()) -> None:
        self.what = what
        self.limit = limit
        super().__init__(
            f"the run was stopped at its limit of {limit:g} {what}. fix: look at the transcript for a loop, "
            "or allow more with RunLimits",
            transcript,
        )


class ContextWindowError(AgentError, BadInputError):
    """What has to be sent does not fit into the model's context window, whatever is left out of the history."""

    exit_code = BadInputError.exit_code

    def __init__(self, needed_tokens: int, window_tokens: int, transcript: Sequence[TranscriptEntry] = ()) -> None:
        self.needed_tokens = needed_tokens
        self.window_tokens = window_tokens
        super().__init__(
            f"the prompt needs {needed_tokens} tokens and the model's window leaves {window_tokens} for it. "
            "fix: shorten the prompt or the tools' results, or use a model with a longer context",
            transcript,
        )


class ModelFailedError(AgentError):
    """The model's server refused, failed or could not be reached."""


class ToolServerError(AgentError):
    """A server of tools does not start or cannot be reached."""


class OutputError(AgentError):
    """The model's answers did not follow the schema that was asked for, or were empty, until the retries ran out."""


class ToolDefinitionError(BadInputError):
    """A tool that cannot be offered to a model: without types, without a name, or one of two of the same name."""


class SchemaError(BadInputError):
    """An output schema that no answer can follow."""


class SessionCorruptError(PaddockError):
    """A session that cannot be read. It was kept aside, and nothing was overwritten."""
