"""The keys in a stack's file: read, checked as ``up`` would check them, and written back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.console import note
from cli.project import find_project
from cli.stack_edit import read_keys, replace_file
from fleet_spec.errors import BadInputError, Problem, SpecError
from fleet_spec.governance_spec import KeySpec
from fleet_spec.key_rules import STACK_KEY, expiry_timestamp
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import StackFile, read_stack_file


@dataclass(frozen=True)
class StackKeys:
    """A stack's file and the keys in it."""

    name: str
    """The stack's."""
    file: StackFile
    text: str
    keys: dict[str, Any]
    """``router.keys`` as it is written."""

    @classmethod
    def of(cls, name: str) -> StackKeys:
        """Read a stack's file.

        Raises:
            BadInputError: there is no such stack, or its file is not YAML.
        """
        file = read_stack_file(find_project().directory, name)
        text = file.path.read_text(encoding="utf-8")
        return cls(name, file, text, read_keys(text))

    @property
    def path(self) -> Path:
        """The stack's file."""
        return self.file.path

    def demand(self, name: str) -> dict[str, Any]:
        """The key of this name, as it is written.

        Raises:
            BadInputError: there is none, or the stack makes it itself.
        """
        if name == STACK_KEY and name not in self.keys:
            raise BadInputError(
                f"{name!r} is the key that the stack makes itself. fix: to have another in its place, raise "
                f"keyGeneration under paddock:router in {self.path.name}, and run paddock up"
            )
        if not isinstance(self.keys.get(name), dict):
            known = ", ".join(sorted(self.keys)) or "none"
            raise BadInputError(f"{self.path.name} has no key {name!r}. Keys there: {known}")
        return self.keys[name]

    def spec(self, name: str) -> KeySpec:
        """What the key of this name may do.

        Raises:
            SpecError: what the file says of it cannot be used.
        """
        try:
            spec = KeySpec.model_validate(self.keys[name])
            if spec.expires is not None:
                expiry_timestamp(spec.expires)
        except ValueError as error:  # pydantic's is one too
            where = f"router.keys.{name}"
            problems = [one for one in self._problems(self.file.raw) if one.key.startswith(where)]
            raise SpecError(problems or [Problem(where, "cannot be used", "correct it")], self.path.name) from error
        return spec

    def check(self, keys: Mapping[str, Any]) -> None:
        """Refuse keys that bring a mistake into the config that is not in it now.

        Raises:
            SpecError: with each such mistake.
        """
        router: dict[str, Any] = self.file.raw.get("router") or {}
        changed: dict[str, Any] = {**self.file.raw, "router": {**router, "keys": dict(keys)}}
        before = {problem.key for problem in self._problems(self.file.raw)}
        fresh = [problem for problem in self._problems(changed) if problem.key not in before]
        if fresh:
            raise SpecError(fresh, self.path.name)

    def _problems(self, raw: dict[str, Any]) -> Sequence[Problem]:
        try:
            load_spec(raw, source=self.path.name, secret_keys=self.file.secret_keys, directory=self.path.parent)
        except SpecError as error:
            return error.problems
        return ()

    def write(self, text: str, keys: Mapping[str, Any]) -> None:
        """Replace the file, if the new text means what it should.

        Raises:
            BadInputError: it does not; nothing was touched.
        """
        if read_keys(text) != dict(keys):
            raise BadInputError(
                f"the keys in {self.path.name} are laid out in a way that this command does not change. fix: leave "
                "--write away, and put the lines it prints there by hand"
            )
        replace_file(self.path, text)
        note(f"wrote {self.path.name}; it comes into force with: paddock up --stack {self.name}")
