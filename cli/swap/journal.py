"""Where a swap has got to, kept in the stack's own directory: with it, what was cut off is finished or undone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.swap.edits import Edits
from cli.swap.names import Turned
from components.local.files import atomic_write, file_lock
from fleet_spec.errors import BadInputError, PaddockError

FILE = "swap.json"
LOCK = "swap.lock"
Step = Literal["deploy", "warm", "check", "turn", "drain", "remove", "undo"]


class SwapRunningError(PaddockError):
    """Another command swaps a model of the stack right now."""


class Settings(BaseModel):
    """What a swap was asked for, besides the models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: str | None = None
    """The file with prompts to check, absolute."""
    max_error_rate: float = 0.0
    max_ttft_seconds: float | None = None
    warm_seconds: float = 600.0
    """How long the new model may take to answer for the first time."""
    drain_seconds: float = 300.0


class Journal(BaseModel):
    """One swap: what it is about, and the step that it is at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    asked: str
    """The name that the person gave, a model or an alias."""
    old: str
    """The model that goes."""
    new: str
    """What the model that comes is called."""
    candidate: str
    """The alias of the new one until clients get it."""
    entry: dict[str, Any]
    """What the stack's file is to say of the new one."""
    adapters: tuple[Turned, ...] = ()
    """Adapters of the old one that the new one serves, too."""
    original: str
    """The stack's file as it was before."""
    settings: Settings
    step: Step = "deploy"
    why: str = ""
    """Why it is being undone."""
    turned: bool = False
    """Whether clients may get the new model already."""

    @property
    def edits(self) -> Edits:
        """What it changes in the stack's file."""
        return Edits(self.original, self.old, self.new, self.candidate, self.entry, self.adapters)

    @property
    def every(self) -> tuple[Turned, ...]:
        """The model and its adapters: everything that clients may ask for by name."""
        return (Turned(self.old, self.new, self.candidate), *self.adapters)

    @property
    def title(self) -> str:
        """What it is about, for a person."""
        return f"{self.asked} ({self.old}) to {self.entry['model']} ({self.new})"


class JournalFile:
    """The journal of one stack."""

    def __init__(self, stack_directory: Path) -> None:
        """Use the file in a stack's own directory; nothing is read or written yet."""
        self._path = stack_directory / FILE
        self._lock = stack_directory / LOCK

    def read(self) -> Journal | None:
        """The swap that is under way or was cut off; None where there is none.

        Raises:
            BadInputError: the file was changed by hand, or is of another release of Paddock.
        """
        try:
            return Journal.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise BadInputError(
                f"{self._path} cannot be read: {error.errors()[0]['msg']}. fix: if no swap was under way, remove it; "
                "else keep the one of the two models that you want in the stack's file, run paddock up, and remove it"
            ) from error

    def write(self, journal: Journal, step: Step, **changes: Any) -> Journal:
        """Note the step that comes next, before it is taken. Gives the journal as it is then."""
        at = journal.model_copy(update={"step": step, **changes})
        atomic_write(self._path, at.model_dump_json(indent=2).encode())
        return at

    def clear(self) -> None:
        """The swap is over."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep every other swap of the stack away. The lock of a command that was killed is free.

        Raises:
            SwapRunningError: one is at work.
        """

        def refuse(_waited_seconds: float) -> None:
            journal = self.read()
            what = f" ({journal.title}, at the step {journal.step!r})" if journal is not None else ""
            raise SwapRunningError(f"another command swaps a model of this stack{what}. fix: wait for it")

        with file_lock(self._lock, refuse):
            yield
