"""Takes from a request everything that a model would read, whichever dialect and operation it is.

Nothing is left out because its field is unknown: what is not known to be a switch or a number of the protocol's is
read. Pictures, sound, files and token numbers are told apart as what no detector can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from agent_runtime.router.prompts.patterns import listed

_SWITCHES = frozenset(
    listed(
        "model stream stream_options keep_alive think raw truncate dimensions encoding_format "
        "temperature top_p top_k "
        "min_p typical_p seed max_tokens max_completion_tokens presence_penalty frequency_penalty n logprobs "
        "top_logprobs reasoning_effort tool_choice parallel_tool_calls modalities service_tier store echo best_of "
        "logit_bias ignore_eos repetition_penalty repeat_penalty num_ctx role type verbosity safety_identifier"
    )
)
_SHAPES = frozenset(("tools", "functions", "response_format", "format"))
"""Fields with JSON schemas: the names in them say what a value would mean, and are no values."""
_TEXT_PARTS = frozenset(("text", "input_text", "output_text", "refusal", "thinking", "reasoning"))
_UNREADABLE_FIELDS = frozenset(("images", "audio", "context", "input_audio", "file", "image_url", "video_url"))
_LABELS = frozenset(("model", "id", "tool_call_id"))
"""What names things. It is long and looks like a token without being one."""
_PLAIN_NAMES = _SWITCHES | _LABELS
_DEEPEST = 60
_LONGEST_WORD = 12
"""A switch's word, or a field's name, is hardly longer. Anything longer could be a text in the wrong place."""


@dataclass(slots=True)
class Texts:
    """What a request says."""

    everything: str = ""
    """All text of it, a line for each piece."""
    asked: str = ""
    """What the last turn of the person's says, or the prompt."""
    turns: int = 0
    """How many messages there are."""
    tools: int = 0
    """How many tools it offers to the model."""
    shaped: bool = False
    """Whether the answer has to fit a schema."""
    unreadable: tuple[str, ...] = ()
    """What it carries that no detector can read: image, audio, video, file, embedded (a data URL),
    tokens (numbers in place of text), nested (deeper than anybody nests), other."""


@dataclass(slots=True)
class _Found:
    lines: list[str] = field(default_factory=list[str])
    unreadable: dict[str, None] = field(default_factory=dict[str, None])


def collect(body: Mapping[str, Any]) -> Texts:
    """Everything that a request's body says, in either dialect. Never fails, whatever the body is."""
    found = _Found()
    for name, value in body.items():
        if name == "messages":
            _messages(value, found)
        elif name in ("prompt", "input", "suffix", "system", "template"):
            _text(value, found)
        elif name not in _SWITCHES or _says_more(name, value):
            _field(name, value, found, 0)
    everything = "\n".join(found.lines)
    if ";base64," in everything and "data:" in everything:
        found.unreadable["embedded"] = None
    messages: object = body.get("messages")
    turns = cast("list[object]", messages) if isinstance(messages, list) else []
    tools: object = body.get("tools")
    return Texts(
        everything=everything,
        asked=_asked(body, turns),
        turns=len(turns),
        tools=len(cast("list[object]", tools)) if isinstance(tools, list) else 0,
        shaped=_shaped(body),
        unreadable=tuple(found.unreadable),
    )


def _says_more(name: str, value: object) -> bool:
    """Whether a switch, which is a word or a number, holds something else: that is read like any other text."""
    if isinstance(value, str):
        return len(value) > _LONGEST_WORD and name not in _LABELS
    return isinstance(value, (dict, list))


def _shaped(body: Mapping[str, Any]) -> bool:
    wanted: object = body.get("format") or body.get("response_format")
    return isinstance(wanted, dict) and cast("dict[str, object]", wanted).get("type") not in ("text", "json_object")


def _asked(body: Mapping[str, Any], turns: list[object]) -> str:
    for turn in reversed(turns):
        if isinstance(turn, dict) and cast("dict[str, object]", turn).get("role") == "user":
            own = _Found()
            _content(cast("dict[str, object]", turn).get("content"), own)
            return "\n".join(own.lines)
    own = _Found()
    _text(body.get("prompt", body.get("input")), own)
    return "\n".join(own.lines)


def _messages(value: object, found: _Found) -> None:
    if not isinstance(value, list):
        _text(value, found)
        return
    for message in cast("list[object]", value):
        if not isinstance(message, dict):
            _text(message, found)
            continue
        for name, part in cast("dict[str, object]", message).items():
            if name == "content":
                _content(part, found)
            elif name not in _PLAIN_NAMES or _says_more(name, part):
                _field(name, part, found, 0)


def _content(value: object, found: _Found) -> None:
    if not isinstance(value, list):
        _text(value, found)
        return
    for part in cast("list[object]", value):
        if not isinstance(part, dict):
            _text(part, found)
            continue
        piece = cast("dict[str, object]", part)
        kind = str(piece.get("type", "text"))
        if kind not in _TEXT_PARTS:
            found.unreadable[_kind(kind)] = None
        for name, inner in piece.items():
            if name != "type" and name not in _UNREADABLE_FIELDS:
                _text(inner, found)


def _kind(name: str) -> str:
    for kind in ("image", "audio", "file", "video"):
        if kind in name:
            return kind
    return "other"


def _field(name: str, value: object, found: _Found, depth: int) -> None:
    """A value with its name before it, since the name may tell what the value is."""
    if value is None or isinstance(value, bool):
        return
    if name in _UNREADABLE_FIELDS and depth == 0:
        if value:
            found.unreadable["tokens" if name == "context" else _kind(name)] = None
        return
    if depth > _DEEPEST:
        found.unreadable["nested"] = None
    elif name in _SHAPES:
        _values(value, found, depth)
    elif isinstance(value, dict):
        for inner, item in cast("dict[object, object]", value).items():
            name = str(inner)
            if len(name) > _LONGEST_WORD and (isinstance(item, bool) or not isinstance(item, (str, int, float))):
                found.lines.append(name)
            _field(name, item, found, depth + 1)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _field(name, item, found, depth + 1)
    else:
        found.lines.append(f"{name}: {value}")


def _values(value: object, found: _Found, depth: int) -> None:
    if depth > _DEEPEST:
        found.unreadable["nested"] = None
    elif isinstance(value, str):
        found.lines.append(value)
    elif isinstance(value, dict):
        for item in cast("dict[object, object]", value).values():
            _values(item, found, depth + 1)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _values(item, found, depth + 1)


def _text(value: object, found: _Found) -> None:
    if isinstance(value, str):
        found.lines.append(value)
    elif isinstance(value, list):
        items = cast("list[object]", value)
        if items and all(_is_token_number(item) for item in items):
            found.unreadable["tokens"] = None
            return
        for item in items:
            if isinstance(item, str):
                found.lines.append(item)
            else:
                _field("item", item, found, 1)
    elif value is not None and not isinstance(value, bool):
        _field("value", value, found, 1)


def _is_token_number(value: object) -> bool:
    """Whether it is a token's number, or a list of them, as a prompt may have in place of text."""
    if isinstance(value, list):
        return all(isinstance(item, int) for item in cast("list[object]", value))
    return isinstance(value, int)
