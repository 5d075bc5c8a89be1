"""The home that the engine gets for a stack: where the state is, the passphrase, the config it reads.

A passphrase stack writes its salt into Pulumi.<stack>.yaml, a tracked file, and a salt that one person
committed does not open with another's passphrase. So the engine never works on the tracked file: it gets
a workspace of its own under ``.paddock``, with a copy of the config that carries the salt.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from cli.project import PROJECT_FILE, Project
from components.local.files import atomic_write
from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import PROJECT, read_stack_file, stack_file_path

PLUGIN = "pulumi-resource-paddock"
_WITHOUT_METADATA = "?metadata=skip"
"""Without it the engine writes a second file with each state, with a checksum that nobody reads. That takes time, and
an engine that is killed between the two leaves a state that no engine opens any more."""
_SALT = re.compile(r"^encryptionsalt:.*$", re.MULTILINE)


@dataclass(frozen=True)
class Backend:
    """Where the engine keeps a stack's state."""

    url: str | None
    """None: wherever the user is logged in."""
    directory: Path | None
    """The directory of a backend of local files, else None."""

    def state_file(self, stack: str) -> Path | None:
        """The file that holds a stack's state, where the backend is one of local files."""
        if self.directory is None:
            return None
        return self.directory / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"

    def lock_directory(self, stack: str) -> Path | None:
        """Where a backend of local files keeps the locks of a stack."""
        if self.directory is None:
            return None
        return self.directory / ".pulumi" / "locks" / "organization" / PROJECT / stack


def choose_backend(project: Project, stack: str, environment: Mapping[str, str] | None = None) -> Backend:
    """Where a stack's state is: what the environment says, what exists, where the user is logged in, or here.

    A stack whose state is already in the checkout stays there, so that a later login does not lose it.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("PULUMI_BACKEND_URL")
    if named:
        return Backend(named, _local_directory(named))
    own = Backend(_own_state(project).as_uri() + _WITHOUT_METADATA, _own_state(project))
    state_file = own.state_file(stack)
    login = _login(environment)
    if login is None or (state_file is not None and state_file.exists()):
        return own
    return Backend(None, _local_directory(login))


def _own_state(project: Project) -> Path:
    return project.private_directory / "state"


def _local_directory(url: str) -> Path | None:
    """The directory that a backend's address names, where it is one of local files: ``file:///srv``, ``file://~``."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0]
    return Path(path).expanduser() if scheme == "file" and path else None


def _login(environment: Mapping[str, str]) -> str | None:
    """The address of the backend that the user is logged in to."""
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        credentials: object = json.loads((home / "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", credentials).get("current") or None if isinstance(credentials, dict) else None


def engine_environment(
    project: Project, backend: Backend, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What to add to the engine's environment. Makes the state's directory and the passphrase where missing."""
    environment = os.environ if environment is None else environment
    added = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Should the copy of the config be lost, the salt in the state still opens its secrets.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    }
    if backend.directory == _own_state(project):
        _make_private(project)
        _own_state(project).mkdir(exist_ok=True)
    if backend.url is not None:
        added["PULUMI_BACKEND_URL"] = backend.url
    has_passphrase = any(name in environment for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"))
    if not has_passphrase and backend.directory is not None:
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file(project))
    return added


def _make_private(project: Project) -> None:
    """Make the directory for what is nobody else's: state, passphrase, logs."""
    project.private_directory.mkdir(mode=0o700, exist_ok=True)


def _passphrase_file(project: Project) -> Path:
    path = project.private_directory / "passphrase"
    if path.exists():
        return path
    _make_private(project)
    unfinished = path.with_name(f"passphrase.{os.getpid()}")
    # Created readable by its owner alone, never for a moment by others, and put in place whole.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))
    with contextlib.suppress(FileExistsError):  # another run was first, and its passphrase counts
        path.hardlink_to(unfinished)
    unfinished.unlink()
    return path


def prepare_workspace(project: Project, stack: str) -> Path:
    """Write the directory that the engine works in for a stack, and return it.

    Raises:
        BadInputError: there is no such stack, or a file of the project cannot be read.
    """
    tracked = read_stack_file(project.directory, stack)
    _make_private(project)
    workspace = project.stack_directory(stack) / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    # Whole, because another command may be at work on the same stack.
    atomic_write(workspace / PROJECT_FILE, yaml.safe_dump(_project_settings(project), sort_keys=False).encode())
    copy = stack_file_path(workspace, stack)
    text = tracked.path.read_text(encoding="utf-8")
    if not tracked.encrypted:
        salt = _SALT.search(copy.read_text(encoding="utf-8")) if copy.exists() else None
        text = f"{text.rstrip()}\n{salt[0]}\n" if salt is not None else text
    atomic_write(copy, text.encode())
    return workspace


def _project_settings(project: Project) -> dict[str, Any]:
    path = project.directory / PROJECT_FILE
    try:
        document: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInputError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("name") != PROJECT:
        raise BadInputError(f"{path} does not describe the project {PROJECT!r}. fix: write `name: {PROJECT}`")
    settings = cast("dict[str, Any]", document)
    scripts = Path(sysconfig.get_path("scripts"))
    if not (scripts / PLUGIN).exists():
        raise BadInputError(
            f"there is no {PLUGIN} in {scripts}. fix: install Paddock into this environment: `make setup`"
        )
    return {
        **settings,
        # The program runs inside this process; the engine needs no Python of its own for it.
        "runtime": "python",
        "plugins": {"providers": [{"name": PROJECT, "path": str(scripts)}]},
    }
