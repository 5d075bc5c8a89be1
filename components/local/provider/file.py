"""``paddock:local:File``: a file with given content, such as the fleet's contract."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.local.files import atomic_write
from components.local.provider.fields import Field, changed_fields, check_fields, known
from components.local.provider.resource import Change, Failure, Properties, Session

FIELDS = {
    "path": Field("string", required=True, replaces=True),
    "content": Field("string", required=True),
    "mode": Field("string", default="0600"),
    "directoryMode": Field("string"),
}


class FileType:
    """Writes a file whole, sees when somebody changed or removed it, and removes it at the end."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:  # noqa: ARG002
        """See :meth:`ResourceType.check`."""
        inputs, failures = check_fields(FIELDS, given)
        path = known(inputs, "path")
        if isinstance(path, str) and not Path(path).is_absolute():
            failures.append(Failure("path", f"is {path!r}, which is not absolute"))
        if isinstance(path, str) and Path(path).is_dir():
            failures.append(Failure("path", f"is {path!r}, which is a folder. Remove it, or give another path"))
        for name, example in (("mode", "0600"), ("directoryMode", "0700")):
            mode = known(inputs, name)
            if isinstance(mode, str) and not _is_mode(mode):
                failures.append(Failure(name, f"is {mode!r}, not octal digits such as {example!r}"))
        return inputs, failures

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.preview`."""
        return dict(inputs)

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:  # noqa: ARG002
        """See :meth:`ResourceType.diff`. Looks at the file, so that `up` alone repairs it."""
        changes = changed_fields(FIELDS, old_inputs, inputs)
        if not changes and _look(inputs["path"]) != (_fingerprint(inputs["content"]), int(inputs["mode"], 8)):
            changes["content"] = Change("update", of_input=False)
        elif not changes and not _has_directory_mode(inputs):
            changes["directoryMode"] = Change("update", of_input=False)
        return changes

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:  # noqa: ARG002
        """See :meth:`ResourceType.create`."""
        _write(inputs)
        return inputs["path"], dict(inputs)

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:  # noqa: ARG002
        """See :meth:`ResourceType.read`."""
        path = Path(state["path"])
        if not path.is_file():
            return None
        content = path.read_bytes().decode(errors="replace")
        return {**state, "content": content, "mode": f"{path.stat().st_mode & 0o777:04o}"}

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.update`."""
        _write(inputs)
        return dict(inputs)

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:  # noqa: ARG002
        """See :meth:`ResourceType.delete`."""
        path = Path(state["path"])
        path.unlink(missing_ok=True)
        if "directoryMode" in state:
            with contextlib.suppress(OSError):  # other files are in it, or it is gone
                path.parent.rmdir()


def _write(inputs: Mapping[str, Any]) -> None:
    path = Path(inputs["path"])
    if "directoryMode" in inputs:
        # Closed before the file is in it.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(int(inputs["directoryMode"], 8))
    atomic_write(path, inputs["content"].encode(), int(inputs["mode"], 8))


def _has_directory_mode(inputs: Mapping[str, Any]) -> bool:
    wanted: str | None = inputs.get("directoryMode")
    return wanted is None or Path(inputs["path"]).parent.stat().st_mode & 0o777 == int(wanted, 8)


def _look(path: str) -> tuple[str, int] | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest(), Path(path).stat().st_mode & 0o777
    except OSError:
        return None


def _fingerprint(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _is_mode(text: str) -> bool:
    return text.isascii() and text.isdigit() and not set(text) & {"8", "9"} and 0 < int(text, 8) <= 0o777
