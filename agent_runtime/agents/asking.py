"""Between an agent and the loop below it: settings and limits on the way in, errors on the way out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    OutputTokenLimitExceeded,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from agent_runtime.agents.errors import (
    AgentError,
    LimitExceededError,
    ModelFailedError,
    OutputError,
    TranscriptEntry,
)
from agent_runtime.agents.options import AgentOptions, RunLimits
from agent_runtime.agents.result import transcript_of
from agent_runtime.agents.run_state import RunState


def system_prompt(instructions: str, context: Mapping[str, Any]) -> str | None:
    """The instructions, and what the agent should know as JSON after them."""
    parts = [instructions.strip()] if instructions.strip() else []
    if context:
        parts.append(f"Context:\n{json.dumps(context, ensure_ascii=False, default=str)}")
    return "\n\n".join(parts) or None


def model_settings(options: AgentOptions) -> ModelSettings:
    """The options as the request carries them."""
    settings = ModelSettings(temperature=options.temperature, top_p=options.top_p)
    # OpenAI's API has no such fields; llama.cpp, vLLM and the router take them beside its own.
    settings["extra_body"] = {"top_k": options.top_k, "repeat_penalty": options.repeat_penalty, **options.extra}
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    if options.seed is not None:
        settings["seed"] = options.seed
    if options.stop:
        settings["stop_sequences"] = list(options.stop)
    return settings


def usage_limits(limits: RunLimits) -> UsageLimits:
    """The limits that the loop itself keeps."""
    return UsageLimits(request_limit=limits.steps, tool_calls_limit=limits.tool_calls)


def transcript(state: RunState) -> list[TranscriptEntry]:
    """What was said in a run until now, without the history before it."""
    return transcript_of(state.messages[state.new_from :])


def told(error: Exception, model: str, state: RunState) -> AgentError | None:
    """The loop's error as this package tells it; None for one that is a mistake in the program."""
    said = transcript(state)
    if isinstance(error, UsageLimitExceeded):
        return _limit(error, state.limits, said)
    if isinstance(error, OutputTokenLimitExceeded):
        used = _last_output_tokens(state.messages)
        return OutputError(
            f"model {model!r} was cut off at {used} tokens, the longest answer it may give, not by its context window. "
            "fix: allow more with AgentOptions(max_tokens=...)",
            said,
        )
    if isinstance(error, ModelConnectionError):
        return ModelFailedError(f"model {model!r} could not be asked: {error.message}. fix: `paddock status`", said)
    if isinstance(error, ModelContextWindowExceededError):
        return ModelFailedError(f"model {model!r} says that the prompt is too long: {error.message}", said)
    if isinstance(error, ModelHTTPError):
        return ModelFailedError(f"model {model!r} failed with {error.status_code}: {_reason(error)}", said)
    if isinstance(error, ModelAPIError):
        return ModelFailedError(f"model {model!r} failed: {error.message}", said)
    if isinstance(error, UnexpectedModelBehavior):
        return OutputError(f"model {model!r} gave nothing that can be used: {error}", said)
    return None


def _reason(error: ModelHTTPError) -> str:
    body = error.body
    if isinstance(body, Mapping):
        return str(body.get("message") or body)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return str(body or error.message)


def _limit(error: UsageLimitExceeded, limits: RunLimits, said: Sequence[TranscriptEntry]) -> LimitExceededError:
    if "tool_calls_limit" in str(error):
        return LimitExceededError("tool calls", limits.tool_calls or 0, said)
    return LimitExceededError("steps", limits.steps or 0, said)


def _last_output_tokens(messages: Sequence[ModelMessage]) -> int:
    last = next((message for message in reversed(messages) if isinstance(message, ModelResponse)), None)
    return last.usage.output_tokens if last is not None else 0
