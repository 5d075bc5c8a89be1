"""Recovers tool calls that a model wrote as text instead of making them.

Small models, and servers that do not know a model's own format, put calls into the answer's text in many ways: as
JSON, bare or fenced, between tags and special tokens, as Python, as ``Action:`` and ``Action Input:``. What is found is
held against the tools that there are. To take a text for a call that is none would do more harm than to miss one, so a
call without any mark of its own counts only where it is what the message ends with, and no text before it explains it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, pairwise

from agent_runtime.agents import recovery_marks as marks
from agent_runtime.agents.recovery_schema import RecoveredCall, Tools, call_of_python, calls_of, fitted, resolve_name
from agent_runtime.agents.recovery_values import MAX_CHARS, json_values, python_calls

_MOST_MARKS = 24
"""How many marks of one text are followed: a model in a loop repeats them for as long as it may."""
_LONGEST_TAGGED_CHARS = 8_000


@dataclass(frozen=True)
class Recovery:
    """What a text holds: calls, and what was said before them."""

    text: str
    calls: list[RecoveredCall] = field(default_factory=list[RecoveredCall])


def recover(text: str, tools: Tools) -> Recovery:
    """Find the calls in a model's text.

    Args:
        text: What the model wrote.
        tools: The tools that it was offered.

    Returns:
        The calls in their order, and the text before them; the whole text where there are none.
    """
    if not tools or len(text) > MAX_CHARS:
        return Recovery(text)
    said = marks.THOUGHT.split(text)[-1]
    for read in _READERS:
        found = read(said, tools)
        if found is not None and found.calls:
            return found
    return Recovery(text)


def may_become_call(text: str) -> bool:
    """Whether a text that has only begun could turn out to be a call: then it is not shown yet."""
    start = text.lstrip()
    return not start or start[0] in "{[<`" or bool(re.match(r"(?:Action|functools|[A-Za-z_][\w.]*\()", start))


def _harmony(text: str, tools: Tools) -> Recovery | None:
    if "to=" not in text or "commentary" not in text:
        return None
    calls = [
        RecoveredCall(name, arguments)
        for written, rest in marks.HARMONY.findall(text)
        if (name := resolve_name(written, tools)) is not None
        and (arguments := _first_fitting(rest, name, tools)) is not None
    ]
    return Recovery("", calls)


def _functions(text: str, tools: Tools) -> Recovery | None:
    """``<function=name>`` with JSON or parameters within, ``<invoke name="...">``."""
    calls: list[RecoveredCall] = []
    first = None
    for opened in marks.OPEN_FUNCTION.finditer(text):
        name = resolve_name(opened[1], tools)
        if name is None or _explained(text[: opened.start()], marked=True):
            continue
        following = marks.OPEN_FUNCTION.search(text, opened.end())
        end = following.start() if following else len(text)
        closed = [match.start() for match in marks.CLOSE_FUNCTION.finditer(text, opened.end(), end)]
        body = text[opened.end() : closed[-1] if closed else end]
        arguments = _parameters(body, name, tools)
        if arguments is not None:
            calls.append(RecoveredCall(name, arguments))
            first = opened.start() if first is None else first
    return Recovery(_before(text, first or 0), calls)


def _marked(text: str, tools: Tools) -> Recovery | None:
    """Anything behind a token or a tag that says that a call follows."""
    for opened in islice(marks.OPENING.finditer(text), _MOST_MARKS):
        if _explained(text[: opened.start()], marked=True):
            continue
        calls = _payload(text[opened.end() :], tools)
        if calls:
            return Recovery(_before(text, opened.start()), calls)
    return None


def _payload(text: str, tools: Tools) -> list[RecoveredCall]:
    """The calls in what follows a mark, in whatever way they are written."""
    text = marks.ESCAPED.sub(lambda match: repr(match[1]), text)
    pairs = marks.ARGUMENT_PAIR.findall(text)
    if pairs:
        calls = _keyed_pairs(text, tools)
        if calls:
            return calls
    calls = [call for found in json_values(text) for call in calls_of(found.value, tools) or []]
    if calls:
        return calls
    for named in marks.NAMED_OBJECT.finditer(text):
        name = resolve_name(named[1], tools)
        arguments = _first_fitting(text[named.end() :], name, tools) if name is not None else None
        if name is not None and arguments is not None:
            calls.append(RecoveredCall(name, arguments))
    return calls or _python(_without_tags(text), tools)


def _keyed_pairs(text: str, tools: Tools) -> list[RecoveredCall]:
    calls: list[RecoveredCall] = []
    for block in re.split(r"</tool_call>|<tool_call>", text):
        name = resolve_name(block.partition("<arg_key>")[0], tools)
        pairs = {key.strip(): value.strip() for key, value in marks.ARGUMENT_PAIR.findall(block)}
        arguments = fitted(pairs, tools[name]) if name is not None else None
        if name is not None and arguments is not None:
            calls.append(RecoveredCall(name, arguments))
    return calls


def _named_tags(text: str, tools: Tools) -> Recovery | None:
    """``<get_weather><city>Paris</city></get_weather>``"""
    for name in tools:
        opened = re.search(rf"<{re.escape(name)}>(.*?)(?:</{re.escape(name)}>|\Z)", text, re.DOTALL)
        if opened is None or _explained(text[: opened.start()], marked=True):
            continue
        pairs = _tagged(opened[1])
        arguments = fitted(pairs, tools[name]) if pairs else _first_fitting(opened[1], name, tools)
        if arguments is not None and not _followed(text[opened.end() :]):
            return Recovery(_before(text, opened.start()), [RecoveredCall(name, arguments)])
    return None


def _react(text: str, tools: Tools) -> Recovery | None:
    found = marks.REACT.search(text)
    if found is None:
        return _react_json(text, tools)
    name = resolve_name(found[1], tools)
    if name is None:
        return None
    written = _unfenced(found[2]).strip().strip("`")
    arguments = _first_fitting(written, name, tools)
    if arguments is None:
        arguments = fitted(written.strip("\"'"), tools[name])
    calls = [RecoveredCall(name, arguments)] if arguments is not None else []
    return Recovery(_before(text, found.start()), calls)


def _react_json(text: str, tools: Tools) -> Recovery | None:
    """``Action:`` and then the whole call as JSON or as Python."""
    found = marks.REACT_WHOLE.search(text)
    if found is None or _explained(text[: found.start()], marked=True):
        return None
    rest = _unfenced(text[found.end() :]).partition("\nObservation")[0]
    return Recovery(_before(text, found.start()), _payload(rest, tools))


def _fenced(text: str, tools: Tools) -> Recovery | None:
    """A call in a code block that the message ends with."""
    fences = list(marks.FENCE.finditer(text))
    if not fences or _explained(text[: fences[0].start()]) or _followed(text[fences[-1].end() :]):
        return None
    calls: list[RecoveredCall] = []
    for fence in fences:
        values = [calls_of(found.value, tools) for found in json_values(fence[2])]
        found = [call for made in values for call in made or []]
        if not found and fence[1].lower() in marks.CODE_LANGUAGES:
            found = _python(fence[2], tools)
        if not found:
            return None
        calls.extend(found)
    return Recovery(_before(text, fences[0].start()), calls)


def _bare(text: str, tools: Tools) -> Recovery | None:
    """A call as JSON or Python, without any mark, that the message ends with."""
    stripped = text.strip()
    calls = _python(stripped, tools) or _named(stripped, tools)
    if calls:
        return Recovery("", calls)
    start = _line_with_call(text)
    if start is not None and not _explained(text[:start]):
        calls = _python(text[start:].strip(), tools)
        if calls:
            return Recovery(_before(text, start), calls)
    values = list(json_values(text))
    made = [calls_of(found.value, tools) for found in values]
    if not made or not all(made) or _explained(text[: values[0].start]):
        return None
    between = "".join(text[a.end : b.start] for a, b in pairwise(values))
    if _followed(between) or _followed(text[values[-1].end :]):
        return None
    return Recovery(_before(text, values[0].start), [call for found in made for call in found or []])


def _named(text: str, tools: Tools) -> list[RecoveredCall]:
    """``get_weather {"city": "Paris"}``, and nothing else."""
    opened = marks.NAMED_OBJECT.match(text)
    name = opened[1].rstrip(":") if opened is not None else ""
    found = next(json_values(text[opened.end() :]), None) if opened is not None and name in tools else None
    if opened is None or found is None or _followed(text[opened.end() + found.end :]):
        return []
    arguments = fitted(found.value, tools[name])
    return [RecoveredCall(name, arguments)] if arguments is not None else []


def _line_with_call(text: str) -> int | None:
    """Where the last line begins that a call in Python's syntax may be on."""
    lines = [match.start() for match in re.finditer(r"^\[?[A-Za-z_][\w.]*\(", text, re.MULTILINE)]
    inline = re.search(r"(?<=[.:!?]\s)\[[A-Za-z_][\w.]*\(.*\)\]\s*\Z", text, re.DOTALL)
    return inline.start() if inline else (lines[0] if lines else None)


def _python(text: str, tools: Tools) -> list[RecoveredCall]:
    written = python_calls(text)
    made = [call_of_python(call, tools) for call in written or []]
    return [call for call in made if call is not None] if made and all(made) else []


def _parameters(body: str, name: str, tools: Tools) -> dict[str, object] | None:
    pairs = {key: _meant(key, value) for key, value in marks.PARAMETER.findall(body)}
    if pairs:
        return fitted(pairs, tools[name])
    if not body.strip():
        return fitted({}, tools[name])
    tags = _tagged(body)
    return _first_fitting(body, name, tools) or (fitted(tags, tools[name]) if tags else None)


def _first_fitting(text: str, name: str, tools: Tools) -> dict[str, object] | None:
    for found in json_values(text):
        inner = calls_of(found.value, tools)
        if inner is not None and inner[0].name == name:
            return inner[0].arguments
        return fitted(found.value, tools[name])
    return None


def _tagged(body: str) -> dict[str, str]:
    """``<city>Paris</city>`` and the like."""
    pairs = re.findall(r"<(\w+)>(.*?)</\1>", body[:_LONGEST_TAGGED_CHARS], re.DOTALL)
    return {key: value.strip() for key, value in pairs}


def _meant(key: str, value: str) -> str:
    """A parameter's value without the line break that templates put on both sides, or a closing tag of its name."""
    closing = f"</{key}>"
    whole = value.rstrip()
    return whole.removesuffix(closing) if whole.endswith(closing) else value.removeprefix("\n").removesuffix("\n")


def _unfenced(text: str) -> str:
    fence = marks.FENCE.search(text)
    return fence[2] if fence is not None else text


def _without_tags(text: str) -> str:
    return re.sub(r"</?[\w|\uff5c-]+>|<\|[^|<>]*\|>", "", text).strip()


def _explained(before: str, *, marked: bool = False) -> bool:
    """Whether what stands before a call talks about it instead of making it; of a marked one, less will do."""
    if len(before) > marks.LONGEST_PREAMBLE_CHARS:
        return True
    near = before[-marks.LOOKED_BACK_CHARS :]
    if marked and marks.MID_SENTENCE.search(near):
        return True
    # A backtick that is open: the call is quoted in a sentence.
    quoted = before.count("`") % 2 == 1 and not before.rstrip().endswith("```")
    return quoted or bool(marks.EXAMPLE.search(near)) or (not marked and bool(marks.EXPLAINING.search(near)))


def _followed(after: str) -> bool:
    """Whether anything but brackets, closing tags and tokens follows."""
    return not marks.LEFT_OVER.fullmatch(after)


def _before(text: str, position: int) -> str:
    return text[:position].strip()


_READERS: tuple[Callable[[str, Tools], Recovery | None], ...] = (
    _harmony,
    _functions,
    _marked,
    _named_tags,
    _react,
    _fenced,
    _bare,
)
