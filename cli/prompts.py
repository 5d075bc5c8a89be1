"""Prompts in a file, and what makes an answer to each of them a good one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from cli.asking import Question, Reply
from fleet_spec.errors import BadInputError

_SHOWN_TEXT = 120


class Prompt(BaseModel):
    """One line of a file of prompts."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    prompt: str = Field(min_length=1)
    system: str | None = None
    expect: str | list[str] = Field(default_factory=list[str])
    """Words that the answer must have in it, whatever their case."""
    matches: str | None = None
    """A regular expression (Python's) that must be found in the answer."""
    json_schema: dict[str, Any] | None = Field(default=None, alias="json")
    """The JSON Schema that the answer is asked to follow, and must."""
    max_tokens: int = Field(default=128, ge=1)
    stream: bool = True

    @property
    def question(self) -> Question:
        """What to ask."""
        return Question(
            self.prompt, self.system, max_tokens=self.max_tokens, stream=self.stream, schema=self.json_schema
        )

    def complaint(self, reply: Reply) -> str | None:
        """Why an answer is not good; None where it is."""
        if reply.problem is not None:
            return reply.problem
        said = f"{reply.text[:_SHOWN_TEXT]!r}"
        if not reply.text.strip():
            return "the answer is empty"
        wanted = [self.expect] if isinstance(self.expect, str) else self.expect
        missing = [one for one in wanted if one.casefold() not in reply.text.casefold()]
        if missing:
            return f"{said} does not have {missing[0]!r} in it"
        if self.matches is not None and re.search(self.matches, reply.text) is None:
            return f"{said} does not match {self.matches!r}"
        return _schema_complaint(self.json_schema, reply.text) if self.json_schema is not None else None


def read_prompts(path: Path) -> list[Prompt]:
    """Read a file of prompts, one JSON object a line: ``{"prompt": "...", "expect": "Tokyo"}``.

    Raises:
        BadInputError: it is not there, is empty, or a line of it cannot be used.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read the prompts in {path}: {error}. fix: correct --check") from error
    found: list[Prompt] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            prompt = Prompt.model_validate_json(line)
            re.compile(prompt.matches or "")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise BadInputError(f"{path}, line {number}: {where}: {first['msg']}. fix: correct it") from error
        except re.error as error:
            raise BadInputError(f"{path}, line {number}: matches: {error}. fix: correct it") from error
        problem = _schema_problem(prompt.json_schema) if prompt.json_schema is not None else None
        if problem is not None:
            raise BadInputError(f"{path}, line {number}: json: no JSON Schema: {problem}. fix: correct it")
        found.append(prompt)
    if not found:
        raise BadInputError(f'{path} has no prompt. fix: write lines such as {{"prompt": "...", "expect": "..."}}')
    return found


def _schema_problem(schema: dict[str, Any]) -> str | None:
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error.message
    return None


def _schema_complaint(schema: dict[str, Any], text: str) -> str | None:
    import jsonschema

    try:
        document: object = json.loads(text)
    except ValueError:
        return f"{text[:_SHOWN_TEXT]!r} is not JSON"
    validator: Any = jsonschema.Draft202012Validator(schema)
    for error in validator.iter_errors(document):
        return f"{text[:_SHOWN_TEXT]!r} does not follow the schema: {error.message[:_SHOWN_TEXT]}"
    return None
