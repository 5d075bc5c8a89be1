"""From the raw mapping in a stack's config to a FleetSpec, or to every mistake in it at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fleet_spec.catalogue import Catalogue
from fleet_spec.checks import Draft, find_problems
from fleet_spec.errors import Problem, SpecError
from fleet_spec.model_spec import ModelSpec
from fleet_spec.spec import Arms, FleetSpec, ModelEntry
from fleet_spec.stack_catalogue import stack_catalogue

_SHOWN_LENGTH = 60


def load_spec(
    raw: Mapping[str, Any],
    *,
    source: str = "the stack's config",
    secret_keys: Collection[str] = (),
    catalogue: Catalogue | None = None,
    directory: Path | None = None,
) -> FleetSpec:
    """Validate a stack's config.

    Args:
        raw: The config as plain data, keys in camelCase without the ``paddock:`` in front.
        source: What to call it in an error, such as the file's name.
        secret_keys: Top-level keys that hold secrets: no value under them is shown in an error.
        catalogue: The models to know; by default the shipped catalogue with the config's own laid over it.
        directory: The project's, where the config's own catalogues are looked for; the current one by default.

    Raises:
        SpecError: with every mistake found, each with key, value and fix.
    """
    problems: list[Problem] = []
    spec: FleetSpec | None = None
    try:
        spec = FleetSpec.model_validate(dict(raw))
    except ValidationError as error:
        problems += [_explain(detail, secret_keys) for detail in error.errors(include_url=False)]
    draft = _draft(raw) if spec is None else Draft.of(spec)
    try:
        known = catalogue or stack_catalogue(raw, directory or Path.cwd())
    except SpecError as error:
        # Without it nobody can tell which models there are: what the rest of the config lacks is not yet known.
        raise SpecError([*problems, *error.problems], source) from None
    problems += find_problems(draft, known)
    if problems or spec is None:
        raise SpecError(problems, source)
    return spec.knowing(known) if catalogue is not None or spec.catalogues else spec


def from_pulumi_config(values: Mapping[str, str], project: str = "paddock") -> dict[str, Any]:
    """Turn the engine's config, ``{"paddock:models": "<JSON>"}``, into plain data for :func:`load_spec`.

    The engine hands every value over as text. Keys of other namespaces belong to other packages and are
    left out. A value that should be an object but is not JSON is kept as text, for validation to name it.
    """
    raw: dict[str, Any] = {}
    for qualified, text in values.items():
        namespace, _, key = qualified.partition(":")
        if namespace != project:
            continue
        raw[key] = text if key in _TEXT_FIELDS else _decoded(text)
    return raw


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_TEXT_FIELDS = frozenset({"target", "namespace"})


def _draft(raw: Mapping[str, Any]) -> Draft:
    """What of a config with mistakes can still be used, so that later checks find theirs as well."""
    models: dict[str, ModelSpec] = {}
    names: tuple[str, ...] = ()
    adapters: list[str] = []
    if isinstance(raw.get("models"), dict):
        given = cast("dict[object, Any]", raw["models"])
        names = tuple(str(name) for name in given)
        adapter: TypeAdapter[ModelSpec] = TypeAdapter(ModelEntry)
        for name, value in given.items():
            if isinstance(value, dict) and isinstance(said := cast("dict[str, Any]", value).get("adapters"), dict):
                adapters += (str(one) for one in cast("dict[object, Any]", said))
            checked = _valid(adapter, value)
            if checked is not None:
                models[str(name)] = checked
    aliases: dict[str, dict[str, float]] = {}
    if isinstance(raw.get("aliases"), dict):
        arms: TypeAdapter[dict[str, float]] = TypeAdapter(Arms)
        for name, value in cast("dict[object, Any]", raw["aliases"]).items():
            checked_arms = _valid(arms, value)
            if checked_arms is not None:
                aliases[str(name)] = checked_arms
    rest: dict[str, Any] = {}
    for field_name, field in FleetSpec.model_fields.items():
        key = field.alias or field_name
        if key in ("models", "aliases") or key not in raw:
            continue
        checked_field = _valid(TypeAdapter(field.rebuild_annotation()), raw[key])
        if checked_field is not None:
            rest[field_name] = checked_field
    return Draft.partial(names=names, models=models, aliases=aliases, adapters=tuple(adapters), **rest)


def _valid(adapter: TypeAdapter[Any], value: Any) -> Any | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


_REPLACED_MESSAGES = {
    "missing": ("is missing", "add it"),
    "int_parsing": ("is not a whole number", "write a whole number"),
    "int_type": ("is not a whole number", "write a whole number"),
    "int_from_float": ("is not a whole number", "write a whole number"),
    "float_parsing": ("is not a number", "write a number"),
    "float_type": ("is not a number", "write a number"),
    "bool_parsing": ("is neither true nor false", "write true or false"),
    "bool_type": ("is neither true nor false", "write true or false"),
    "string_type": ("is not text", "write text, in quotes where YAML would read it as something else"),
    "model_type": ("is not a mapping", "write its keys and values, indented, below it"),
    "model_attributes_type": ("is not a mapping", "write its keys and values, indented, below it"),
    "dict_type": ("is not a mapping", "write its keys and values, indented, below it"),
    "tuple_type": ("is not a list", "write a list: [a, b]"),
    "too_short": ("is empty", "name at least one"),
}


def _explain(detail: ErrorDetails, secret_keys: Collection[str]) -> Problem:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    key = ".".join(str(part) for part in loc)
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _keys_beside(loc)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
        fix = f"write {near[0]!r}" if near else f"remove it; known here: {', '.join(known)}"
        return Problem(key, "is a key that Paddock does not know", fix)
    if kind == "missing":
        return Problem(key, *_REPLACED_MESSAGES[kind])
    shown = _shown(detail["input"], loc, secret_keys)
    if kind in _REPLACED_MESSAGES:
        message, fix = _REPLACED_MESSAGES[kind]
        return Problem(key, f"{shown} {message}", fix)
    if kind == "literal_error":
        expected = detail.get("ctx", {}).get("expected", "")
        return Problem(key, f"{shown} is not one of the choices", f"write one of {expected}")
    message = detail["msg"].removeprefix("Value error, ")
    what, _, fix = message.partition("; ")
    return Problem(key, f"{shown} {what}" if fix else f"{shown}: {what}", fix or "correct the value")


def _shown(value: Any, loc: tuple[int | str, ...], secret_keys: Collection[str]) -> str:
    if (loc and loc[0] in secret_keys) or _is_secret_field(loc) or isinstance(value, SecretStr):
        return "[secret]"
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "..."


def _is_secret_field(loc: tuple[int | str, ...]) -> bool:
    _, annotation = _walk(loc)
    return SecretStr in (annotation, *get_args(annotation))


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    parent, _ = _walk(loc)
    return [] if parent is None else [field.alias or name for name, field in parent.model_fields.items()]


def _walk(loc: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, Any]:
    """The spec class that holds the last key of a path, and that key's type where it has one."""
    parent: type[BaseModel] | None = None
    reached: Any = FleetSpec
    for part in loc:
        parent = _model_class(reached)
        if parent is not None:
            fields = {field.alias or name: field for name, field in parent.model_fields.items()}
            reached = fields[str(part)].annotation if str(part) in fields else None
        else:
            arguments = get_args(reached)
            reached = arguments[-1] if arguments else None
    return parent, reached


def _model_class(annotation: Any) -> type[BaseModel] | None:
    """The spec class that an annotation stands for, seen through ``Annotated`` and ``| None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return next((found for part in get_args(annotation) if (found := _model_class(part))), None)
    return None
