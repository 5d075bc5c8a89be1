"""Teams of your own, from a YAML file.

::

    name: brief
    members:
      reader: {specialisation: general, tools: [search_documents, read_document]}
      writer: {specialisation: creative, instructions: You write one page.}
    steps:
      - {member: reader, prompt: "Find what our documents say about {task}"}
      - {member: writer, prompt: "Write a brief on {task} from these notes: {reader}"}
      - member: reader
        name: check
        prompt: "Is this right? {writer} End with OK or with what is wrong."
        rework: {from: writer, until: OK, rounds: 2}
    result: writer

A step's text may hold ``{task}``, the names of steps before it, and ``{feedback}``: what a later step said when it gave
work back. Every mistake in a file is found at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from agent_runtime.agents.builder_choice import SPECIALISATIONS
from agent_runtime.agents.tools.catalogue import tool_names
from fleet_spec.errors import BadInputError, Problem, SpecError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")
TASK, FEEDBACK = "task", "feedback"
_RESERVED = (TASK, FEEDBACK)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in _RESERVED:
        raise ValueError("is no usable name; a letter, then letters, digits, - and _; not task, not feedback")
    return value


Name = Annotated[str, AfterValidator(_name)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class MemberEntry(_Part):
    """A member."""

    specialisation: str = "general"
    """Which model it gets, and how it is told to work: general, code, math, science, creative."""
    instructions: str | None = None
    """In place of the specialisation's own."""
    model: str | None = None
    """A model or alias of the fleet, in place of the specialisation's."""
    tools: tuple[str, ...] | None = None
    """In place of the specialisation's own."""


class ReworkEntry(_Part):
    """Work that is given back until it is good."""

    from_: str = Field(alias="from")
    """The step that is done again, and all that follow it."""
    until: str = Field(min_length=1)
    """What the reply of this step has to hold, as a word of its own, for the work to go on."""
    rounds: int = Field(default=2, ge=1, le=10)


class StepEntry(_Part):
    """A member is asked."""

    member: str
    prompt: str = Field(min_length=1)
    name: Name | None = None
    """What later steps call its reply; the member's name by default."""
    rework: ReworkEntry | None = None

    @property
    def called(self) -> str:
        """The name of its reply."""
        return self.name or self.member


class LimitsEntry(_Part):
    """Where a run is stopped."""

    steps: int = Field(default=60, ge=1, le=1000)
    total_tokens: int = Field(default=1_000_000, ge=1)
    timeout_seconds: float = Field(default=3600.0, gt=0)


class TeamFile(_Part):
    """A whole file."""

    name: Name
    description: str = ""
    members: dict[Name, MemberEntry] = Field(min_length=1)
    steps: tuple[StepEntry, ...] = Field(min_length=1)
    result: str | None = None
    """The step whose reply is the result; the last one by default."""
    limits: LimitsEntry = LimitsEntry()

    @property
    def result_step(self) -> str:
        """The step whose reply is the result."""
        return self.result or self.steps[-1].called


def load_team_file(path: Path) -> TeamFile:
    """Read a team's file.

    Raises:
        BadInputError: there is no such file, or it is not YAML.
        SpecError: with every mistake in it, each with key, value and fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInputError(f"the team's file {path} cannot be read: {reason}. fix: name one that exists") from error
    return parse_team(text, str(path))


def parse_team(text: str, source: str) -> TeamFile:
    """Read a team from YAML text. Raises what :func:`load_team_file` raises."""
    try:
        raw: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInputError(f"{source} is not YAML: {error}. fix: see docs/teams.md for an example") from error
    if not isinstance(raw, dict):
        raise BadInputError(f"{source} holds no mapping. fix: begin with name:, members: and steps:")
    data = cast("dict[str, Any]", raw)
    problems: list[Problem] = []
    try:
        team: TeamFile | None = TeamFile.model_validate(data)
    except ValidationError as error:
        team = None
        problems += [_explained(detail) for detail in error.errors(include_url=False)]
    problems += _mistakes(data)
    if team is None or problems:
        raise SpecError(problems, source)
    return team


def _mistakes(data: Mapping[str, Any]) -> list[Problem]:
    """What fits no schema: names that stand for nothing. Looks at the raw file, so that it finds them all at once."""
    members = _mapping(data.get("members"))
    steps = [_mapping(step) for step in cast("list[Any]", data.get("steps"))] if _is_list(data.get("steps")) else []
    problems = [problem for name, entry in members.items() for problem in _member_mistakes(name, _mapping(entry))]
    called: list[str] = []
    for index, step in enumerate(steps):
        problems += _step_mistakes(f"steps.{index}", step, members, called)
        name = step.get("name") or step.get("member")
        if isinstance(name, str):
            if name in called:
                problems.append(
                    Problem(
                        f"steps.{index}.name", f"{name!r} is the name of an earlier step", "give it a name: of its own"
                    )
                )
            called.append(name)
    result = data.get("result")
    if isinstance(result, str) and result not in called:
        problems.append(_unknown("result", "step", result, called))
    return problems


def _member_mistakes(name: str, entry: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    made_for = entry.get("specialisation")
    if isinstance(made_for, str) and made_for not in SPECIALISATIONS:
        problems.append(_unknown(f"members.{name}.specialisation", "specialisation", made_for, list(SPECIALISATIONS)))
    tools = entry.get("tools")
    for index, tool in enumerate(cast("list[Any]", tools) if _is_list(tools) else []):
        if isinstance(tool, str) and tool not in tool_names():
            problems.append(_unknown(f"members.{name}.tools.{index}", "tool", tool, list(tool_names())))
    return problems


def _step_mistakes(key: str, step: Mapping[str, Any], members: Mapping[str, Any], before: list[str]) -> list[Problem]:
    problems: list[Problem] = []
    member, prompt = step.get("member"), step.get("prompt")
    if isinstance(member, str) and member not in members:
        problems.append(_unknown(f"{key}.member", "member", member, list(members)))
    known = [*_RESERVED, *before]
    words = PLACEHOLDER.findall(prompt) if isinstance(prompt, str) else []
    written = [f"{{{one}}}" for one in known]
    problems += [_unknown(f"{key}.prompt", "earlier step", f"{{{w}}}", written) for w in words if w not in known]
    target = _mapping(step.get("rework")).get("from")
    if isinstance(target, str) and target not in before:
        problems.append(_unknown(f"{key}.rework.from", "earlier step", target, before))
    return problems


def _unknown(key: str, what: str, value: str, known: list[str]) -> Problem:
    near = difflib.get_close_matches(value, known, n=1)
    fix = f"write {near[0]!r}" if near else f"use one of: {', '.join(known) or 'none yet'}"
    return Problem(key, f"{value!r} is no {what}", fix)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


_FIXES = {
    "missing": ("is missing", "add it"),
    "string_type": ("is no text", "write text, in quotes where YAML would read it as something else"),
    "too_short": ("is empty", "name at least one"),
    "string_too_short": ("is empty", "write something"),
    "dict_type": ("is no mapping", "write its keys and values, indented, below it"),
    "model_type": ("is no mapping", "write its keys and values, indented, below it"),
    "tuple_type": ("is no list", "write a list: [a, b]"),
    "int_type": ("is no whole number", "write a whole number"),
    "int_parsing": ("is no whole number", "write a whole number"),
    "float_type": ("is no number", "write a number"),
    "float_parsing": ("is no number", "write a number"),
}


def _explained(detail: ErrorDetails) -> Problem:
    loc = [str(part) for part in detail["loc"] if part != "[key]"]
    key, kind = ".".join(loc) or "the file", detail["type"]
    if kind == "missing":
        return Problem(key, *_FIXES[kind])
    if kind == "extra_forbidden":
        known = _keys_at(detail["loc"])
        near = difflib.get_close_matches(loc[-1], known, n=1)
        return Problem(
            key,
            "is a key that a team's file does not know",
            f"write {near[0]!r}" if near else f"known here: {', '.join(known)}",
        )
    value: object = detail["input"]
    shown = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)[:60]
    if kind in _FIXES:
        message, fix = _FIXES[kind]
        return Problem(key, f"{shown} {message}", fix)
    what, _, fix = detail["msg"].removeprefix("Value error, ").partition("; ")
    return Problem(key, f"{shown} {what[0].lower()}{what[1:]}", fix or "correct the value")


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand beside the last one of a path."""
    match loc:
        case ("members", _, _):
            part: type[BaseModel] = MemberEntry
        case ("steps", _, "rework", _):
            part = ReworkEntry
        case ("steps", _, _):
            part = StepEntry
        case ("limits", _):
            part = LimitsEntry
        case _:
            part = TeamFile
    return [field.alias or name for name, field in part.model_fields.items()]
