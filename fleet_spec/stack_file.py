"""Reading a stack's config from its file, without the Pulumi engine.

``paddock plan`` and the checks before ``up`` need the spec before any engine runs. Only the layout of
``Pulumi.<stack>.yaml`` is known here; a secret's ciphertext is never read, a placeholder stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from fleet_spec.errors import BadInputError, Problem, SpecError

PROJECT = "paddock"
"""The Pulumi project's name, which is also the namespace of its config keys."""

SECRET_PLACEHOLDER = "[secret]"  # noqa: S105
_NAME_PREFIX, _NAME_SUFFIX = "Pulumi.", ".yaml"


@dataclass(frozen=True)
class StackFile:
    """The config of one stack as its file has it."""

    path: Path
    raw: dict[str, Any]
    """Values by key, the project's namespace taken off. Secrets are replaced by a placeholder."""
    secret_keys: frozenset[str]
    """Top-level keys that are encrypted, whole or in part."""
    encrypted: bool
    """True where the file names how its secrets are encrypted (a salt, a key or a provider)."""


def stack_names(project_directory: Path) -> list[str]:
    """The stacks that have a config file in a project's directory, in alphabetical order."""
    return sorted(
        path.name.removeprefix(_NAME_PREFIX).removesuffix(_NAME_SUFFIX)
        for path in project_directory.glob(f"{_NAME_PREFIX}*{_NAME_SUFFIX}")
    )


def stack_file_path(project_directory: Path, stack: str) -> Path:
    """Where a stack's config is kept: ``Pulumi.<stack>.yaml``."""
    return project_directory / f"{_NAME_PREFIX}{stack}{_NAME_SUFFIX}"


def read_stack_file(project_directory: Path, stack: str) -> StackFile:
    """Read a stack's config.

    Raises:
        BadInputError: there is no such stack, or its file is not YAML.
        SpecError: a key has no namespace.
    """
    path = stack_file_path(project_directory, stack)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(stack_names(project_directory)) or "none"
        raise BadInputError(
            f"there is no stack {stack!r}: no {path.name} in {project_directory}. Stacks here: {known}. "
            f"fix: name one of them with --stack, or write {path.name}"
        ) from None
    try:
        document: object = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise BadInputError(f"{path.name} is not YAML: {error}") from error
    contents = _mapping(document)
    config = _mapping(contents.get("config")) if contents is not None else None
    if contents is None or config is None:
        raise BadInputError(f"{path.name}: 'config' is not a mapping. fix: write keys such as paddock:models below it")
    raw: dict[str, Any] = {}
    secret_keys: set[str] = set()
    problems: list[Problem] = []
    for qualified, value in config.items():
        namespace, colon, key = str(qualified).partition(":")
        if not colon:
            problems.append(Problem(namespace, "has no namespace", f"write {PROJECT}:{namespace}"))
        elif namespace == PROJECT:
            raw[key], hidden = _without_secrets(value)
            if hidden:
                secret_keys.add(key)
    if problems:
        raise SpecError(problems, path.name)
    encrypted = any(name in contents for name in ("encryptionsalt", "encryptedkey", "secretsprovider"))
    return StackFile(path, raw, frozenset(secret_keys), encrypted)


def _mapping(value: object) -> dict[str, Any] | None:
    """The value where it is a mapping, an empty one where it is nothing, else None."""
    if value is None:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _without_secrets(value: Any) -> tuple[Any, bool]:
    """The value with a placeholder for each ``{secure: ...}`` in it, and whether there was one."""
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        if set(given) == {"secure"}:
            return SECRET_PLACEHOLDER, True
        replaced = {key: _without_secrets(item) for key, item in given.items()}
        return {key: item for key, (item, _) in replaced.items()}, any(hidden for _, hidden in replaced.values())
    if isinstance(value, list):
        items = [_without_secrets(item) for item in cast("list[Any]", value)]
        return [item for item, _ in items], any(hidden for _, hidden in items)
    return value, False
