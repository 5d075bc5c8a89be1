"""``paddock:local:Weights``: a model's weights as one verified file of this machine.

Packaged weights are put together once in a cache that all checkouts share, and stay there when the
resource goes: another stack may be serving them, and making them again takes minutes.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.local.file_hash import sha256_of
from components.local.files import cache_root, file_lock, temporary_path
from components.local.provider.fields import Field, changed_fields, check_fields, known, unknown_outputs
from components.local.provider.resource import Change, Failure, Properties, Session
from fleet_spec.errors import PaddockError

FIELDS = {
    "fileName": Field("string", required=True),
    "sha256": Field("string", required=True),
    "sizeBytes": Field("integer", minimum=1),
    "packageModule": Field("string"),
    "path": Field("string"),
    "installHint": Field("string", default="uv sync --all-extras", compared=False),
}
_SHA256_DIGITS = 64


class WeightsError(PaddockError):
    """Weights that are not there or not what they should be."""


class WeightsType:
    """Finds or puts together the file, and checks its hash: whole when made or refreshed, by size and time else."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:  # noqa: ARG002
        """See :meth:`ResourceType.check`."""
        inputs, failures = check_fields(FIELDS, given)
        if ("packageModule" in inputs) == ("path" in inputs):
            failures.append(Failure("packageModule", "and path: exactly one of the two says where the weights are"))
        name, digest, path = (known(inputs, key) for key in ("fileName", "sha256", "path"))
        if isinstance(name, str) and (Path(name).name != name or name.startswith(".")):
            failures.append(Failure("fileName", f"is {name!r}, which is not the name of a file"))
        if isinstance(digest, str):
            inputs["sha256"] = digest = digest.lower()
            if len(digest) != _SHA256_DIGITS or set(digest) - set("0123456789abcdef"):
                failures.append(Failure("sha256", f"is {digest!r}, not 64 hexadecimal digits"))
        if isinstance(path, str) and not Path(path).is_file():
            failures.append(Failure("path", f"is {path!r}, and there is no such file. Correct the path"))
        return inputs, failures

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.preview`. The path follows from the inputs, so a preview knows it."""
        return {**inputs, "path": str(_target(inputs)), **unknown_outputs("stamp", "actualSizeBytes")}

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:
        """See :meth:`ResourceType.diff`."""
        changes = changed_fields(FIELDS, old_inputs, inputs)
        if not changes and stamp_of(Path(state["path"])) != state["stamp"]:
            changes["stamp"] = Change("update", of_input=False)
        return changes

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:
        """See :meth:`ResourceType.create`.

        Raises:
            WeightsError: the package is not installed, or the file fails its hash.
        """
        return inputs["sha256"], _provide(inputs, session)

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:
        """See :meth:`ResourceType.read`. Reads the whole file."""
        path = Path(state["path"])
        if not path.is_file():
            return None
        if hash_file(path, session) != resource_id:
            session.warn(f"{path} no longer has the hash {resource_id}. The next `paddock up` puts that right.")
            return {**state, "stamp": "changed"}
        return {**state, "stamp": stamp_of(path)}

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.update`."""
        return _provide(inputs, session)

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:
        """See :meth:`ResourceType.delete`. Leaves the file: it is shared, or the user's own."""


def stamp_of(path: Path) -> str | None:
    """Changes when the file does, without reading it: its size and the time of its last change."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"


def _target(inputs: Mapping[str, Any]) -> Path:
    if "path" in inputs:
        return Path(inputs["path"]).absolute()
    return cache_root() / "weights" / inputs["sha256"] / inputs["fileName"]


def _provide(inputs: Properties, session: Session) -> Properties:
    path = _target(inputs)
    if "path" not in inputs:
        with file_lock(
            path.with_name(f"{path.name}.lock"),
            lambda waited: session.status(f"{waited:.0f} s: another `up` is making {path.name}"),
        ):
            _assemble_if_needed(path, inputs, session)
    else:
        _verify(path, inputs, session, fix="Give the file that the hash belongs to, or correct the hash")
    size_bytes = path.stat().st_size
    session.status(f"{path.name}: {size_bytes / 1e6:.0f} MB, hash verified")
    return {**inputs, "path": str(path), "stamp": stamp_of(path), "actualSizeBytes": size_bytes}


def _assemble_if_needed(path: Path, inputs: Properties, session: Session) -> None:
    if path.is_file() and hash_file(path, session) == inputs["sha256"]:
        return
    module_name = inputs["packageModule"]
    importlib.invalidate_caches()
    if importlib.util.find_spec(module_name) is None:
        raise WeightsError(
            f"the weights {inputs['fileName']} come in the package {module_name}, which is not installed. "
            f"fix: {inputs['installHint']}"
        )
    temporary = temporary_path(path)
    try:
        with _progress_of(temporary, path.name, inputs.get("sizeBytes"), session):
            try:
                importlib.import_module(module_name).assemble(temporary)
            except (ValueError, OSError) as error:
                raise WeightsError(
                    f"{module_name} could not put together {path.name}: {error}. "
                    f"fix: free disk space at {path.parent} or install the package anew: {inputs['installHint']}"
                ) from error
        _verify(temporary, inputs, session, fix=f"Install the package anew: {inputs['installHint']}")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _verify(path: Path, inputs: Properties, session: Session, *, fix: str) -> None:
    size_bytes = path.stat().st_size
    expected_bytes = inputs.get("sizeBytes")
    if expected_bytes is not None and size_bytes != expected_bytes:
        raise WeightsError(
            f"{inputs['fileName']} ({path}) has {size_bytes} bytes; expected {expected_bytes}. fix: {fix}"
        )
    found = hash_file(path, session)
    if found != inputs["sha256"]:
        raise WeightsError(
            f"{inputs['fileName']} ({path}) fails its hash: expected sha256 {inputs['sha256']}, found {found}. "
            f"fix: {fix}"
        )


def hash_file(path: Path, session: Session) -> str:
    """The SHA-256 of a file in hexadecimal.

    Raises:
        WeightsError: the session was cancelled meanwhile.
    """

    def stop_where_cancelled(done_bytes: int) -> None:
        del done_bytes
        if session.cancelled.is_set():
            raise WeightsError(f"cancelled while reading {path}. The next `paddock up` goes on from here.")

    return sha256_of(path, stop_where_cancelled)


class _progress_of:  # noqa: N801 - used as a function
    """Shows how a growing file grows, about once a second."""

    def __init__(self, path: Path, name: str, size_bytes: int | None, session: Session) -> None:
        self._stopped = threading.Event()
        of_all = "" if size_bytes is None else f" of {size_bytes / 1e6:.0f}"
        describe: Callable[[int], str] = lambda done: f"putting together {name}: {done / 1e6:.0f}{of_all} MB"  # noqa: E731
        self._thread = threading.Thread(target=self._watch, args=(path, describe, session), daemon=True)

    def _watch(self, path: Path, describe: Callable[[int], str], session: Session) -> None:
        while not self._stopped.wait(1.0):
            if path.exists():
                session.status(describe(path.stat().st_size))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
