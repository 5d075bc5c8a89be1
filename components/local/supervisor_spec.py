"""What a supervisor is told, as JSON on its standard input: secrets never stand in arguments or files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

DEFAULT_LOG_BYTES = 5 * 1024 * 1024
DEFAULT_LOG_FILES = 5


@dataclass(frozen=True)
class SupervisorSpec:
    """One process to look after."""

    name: str
    directory: str
    """Absolute; holds the record and the logs, and is the process's working directory."""
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    """The whole environment of the process."""
    port: int
    spec_hash: str
    token: str
    stop_timeout_seconds: float = 10.0
    """How long the process may take to end after SIGTERM."""
    log_max_bytes: int = DEFAULT_LOG_BYTES
    log_files: int = DEFAULT_LOG_FILES
    backoff_initial_seconds: float = 0.5
    backoff_maximum_seconds: float = 30.0
    backoff_reset_seconds: float = 60.0

    @property
    def path(self) -> Path:
        """The folder as a path."""
        return Path(self.directory)

    def to_json(self) -> bytes:
        """The text that :meth:`from_json` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> SupervisorSpec:
        """Read a spec.

        Raises:
            ValueError: it is not JSON.
            TypeError: a field is missing or unknown.
        """
        return cls(**json.loads(text))
