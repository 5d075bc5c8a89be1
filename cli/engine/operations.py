"""One operation of the engine on one stack: up, preview, refresh, destroy."""

from __future__ import annotations

import runpy
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from pulumi.automation import EngineEvent, LocalWorkspace, OnEvent, Stack
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError

from cli.console import Step, note
from cli.engine.command import EngineCommand
from cli.engine.home import Backend, choose_backend, engine_environment, prepare_workspace
from cli.engine.locate import find_engine
from cli.engine.pending import settle_creations
from cli.engine.progress import Kind, Progress
from cli.engine.state import LockedError, clear_broken_metadata, clear_stale_locks, protected_urns, read_state
from cli.engine.unfinished import Begun, UnfinishedWork, large_fleet_environment, recovery_environment
from cli.project import Project
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.stack_file import read_stack_file

T = TypeVar("T")

_TITLES: dict[Kind, tuple[str, str]] = {
    "up": ("bringing up", "is up"),
    "preview": ("previewing", "previewed"),
    "refresh": ("refreshing", "refreshed"),
    "drift": ("comparing", "compared with what runs"),
    "destroy": ("taking down", "is down"),
}


class OperationError(PaddockError):
    """The engine could not do what it was asked; the text holds what it reported."""


class InterruptedByUserError(PaddockError):
    """Ctrl-C ended the operation. The state is written and the next `up` repairs what was cut off."""

    exit_code = 130


class NoSuchStackError(BadInputError):
    """The stack was never brought up, or has been removed."""


@dataclass(frozen=True)
class Outcome:
    """What an operation did."""

    changes: dict[str, int]
    """Resources by what happened to them, ``{"created": 3}``; empty where nothing changed."""
    seconds: float
    resources: tuple[tuple[str, str], ...] = ()
    """What happened to which: ``("assistant-0 (Process)", "created")``."""


class StackOperator:
    """Runs the engine on one stack. Make one with :func:`open_stack`."""

    def __init__(
        self,
        stack: Stack,
        workspace: LocalWorkspace,
        command: EngineCommand,
        project: Project,
        backend: Backend,
        unfinished: UnfinishedWork | None,
    ) -> None:
        self._stack = stack
        self._workspace = workspace
        self._command = command
        self._project = project
        self._unfinished = unfinished
        self.backend = backend

    @property
    def name(self) -> str:
        """The stack's name."""
        return self._stack.name

    def up(self) -> Outcome:
        """Create, change and remove resources until they are what the config says."""
        lost, written = self._lost(), self._written()
        try:
            outcome = self._run("up", lambda on_event: self._stack.up(program=self._program, on_event=on_event))
        except PaddockError:
            # A state that was written holds all that was made now. One that was not: the engine was killed.
            if self._unfinished is not None and self._written() != written:
                self._unfinished.keep(self._unknown(lost))
            raise
        for one in self._unknown(lost):
            note(f"the operation that was cut off may have left {one.kind} {one.name}, which is needed no more:")
            note(f"  {one.removal}")
        if self._unfinished is not None:
            self._unfinished.keep(())
        state = read_state(self.backend, self.name)
        if state is not None and state.creating:
            settle_creations(self._command, self._workspace, self._project, self.name, state.urns)
        return outcome

    def preview(self) -> Outcome:
        """Say what :meth:`up` would do; nothing is touched."""
        return self._run("preview", lambda on_event: self._stack.preview(program=self._program, on_event=on_event))

    def refresh(self) -> Outcome:
        """Compare the state with what really runs, and write down what differs."""
        return self._run("refresh", lambda on_event: self._stack.refresh(on_event=on_event))

    def drift(self) -> Outcome:
        """Say what :meth:`refresh` would find; nothing is written down."""
        return self._run("drift", lambda on_event: self._stack.preview_refresh(on_event=on_event))

    def destroy(self) -> Outcome:
        """Remove every resource. The stack itself stays known, with its history.

        Raises:
            BadInputError: an `up` was cut off, and what it made is not in the state yet; or something that holds data
                is kept from deletion.
        """
        kept = self._protected()
        if kept:
            # The engine would remove what comes before them, and stop in the middle.
            names = ", ".join(urn.rpartition("::")[2] for urn in kept)
            raise BadInputError(
                f"stack {self.name!r} keeps what holds data from deletion: {names}; nothing was touched. fix: save the "
                f"data, set paddock:protect to false, `paddock up --stack {self.name}`, then destroy it"
            )
        lost = self._lost()
        if lost:
            raise BadInputError(
                f"the last `up` of stack {self.name!r} was cut off before its state was written, and up to {len(lost)} "
                f"objects would stay behind. fix: `paddock up --stack {self.name}` takes them over; then destroy it"
            )
        return self._run("destroy", lambda on_event: self._stack.destroy(on_event=on_event))

    def _protected(self) -> tuple[str, ...]:
        state = read_state(self.backend, self.name)
        if state is not None:
            return state.protected
        deployment = self._stack.export_stack().deployment or {}
        return protected_urns(deployment.get("resources") or [])

    def outputs(self) -> dict[str, Any]:
        """The stack's plain outputs; a secret one shows as ``[secret]``."""
        state = read_state(self.backend, self.name)
        if state is not None:
            return state.outputs
        return {key: "[secret]" if output.secret else output.value for key, output in self._stack.outputs().items()}

    def all_outputs(self) -> dict[str, Any]:
        """The stack's outputs, secret ones in plain text: for this process's memory, or for whoever asked for them."""
        return {key: output.value for key, output in self._stack.outputs().items()}

    def _lost(self) -> list[Begun]:
        """What an engine that was cut off had begun to make, and the state does not know."""
        return [] if self._unfinished is None else self._unknown(self._unfinished.begun())

    def _unknown(self, begun: Sequence[Begun]) -> list[Begun]:
        """What of it the state does not know."""
        state = read_state(self.backend, self.name) if begun else None
        known = state.urns if state is not None else ()
        return [one for one in begun if one.urn not in known]

    def _written(self) -> tuple[int, int] | None:
        """What changes when the state is written, where that is a local file."""
        path = self.backend.state_file(self.name)
        try:
            status = path.stat() if path is not None else None
        except FileNotFoundError:
            return None
        return (status.st_ino, status.st_mtime_ns) if status is not None else None

    def _program(self) -> None:
        runpy.run_path(str(self._project.directory / "__main__.py"))

    def _run(self, kind: Kind, operation: Callable[[OnEvent], Any]) -> Outcome:
        doing, done = _TITLES[kind]
        with Step(f"{doing} {self.name}") as step:
            progress = Progress(step, kind)

            def on_event(event: EngineEvent) -> None:
                if kind == "up" and self._unfinished is not None and event.resource_pre_event is not None:
                    self._unfinished.note(event.resource_pre_event.metadata)
                progress.on_event(event)

            try:
                with self._interruptible():
                    _in_thread(lambda: operation(on_event))
            except ConcurrentUpdateError:
                clear_stale_locks(self.backend, self.name)  # says who holds the lock
                raise LockedError(
                    f"another command is at work on stack {self.name!r}. fix: wait for it, and run this one again"
                ) from None
            except CommandError as error:
                if self._interrupted:
                    raise InterruptedByUserError(
                        f"stopped. The state is written; `paddock up --stack {self.name}` repairs what was cut off."
                    ) from None
                raise OperationError(_failure(self.name, progress, error)) from None
            step.finish(f"{self.name} {done}")
            return Outcome(dict(progress.changes), step.elapsed_seconds, tuple(progress.resources))

    @contextmanager
    def _interruptible(self) -> Generator[None]:
        """Turn Ctrl-C and SIGTERM into an orderly stop of the engine; a second one stops it at once."""
        self._interrupted = False

        def interrupt(number: int, frame: FrameType | None) -> None:
            del number, frame
            again = self._interrupted
            self._interrupted = True
            note("stopping at once" if again else "stopping in order; press Ctrl-C again to stop at once")
            self._command.interrupt()

        previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def open_stack(project: Project, stack: str, *, create: bool) -> StackOperator:
    """Find the engine and make a stack ready for operations.

    Args:
        project: The checkout.
        stack: The stack's name.
        create: Make the stack where it does not exist yet.

    Raises:
        BadInputError: no such stack, or its state is corrupt.
        EngineNotFoundError: there is no engine and none could be got.
        LockedError: another operation is at work on the stack.
    """
    backend = choose_backend(project, stack)
    state = read_state(backend, stack)
    if state is None and backend.directory is not None and not create:
        raise NoSuchStackError(f"stack {stack!r} is not up. fix: paddock up --stack {stack}")
    engine = find_engine(project)
    if backend.directory is not None:
        for line in clear_stale_locks(backend, stack):
            note(line)
        clear_broken_metadata(backend, stack)
    config = read_stack_file(project.directory, stack)
    # Only a state that is a local file can be held against it.
    unfinished = UnfinishedWork(project.stack_directory(stack)) if backend.directory is not None else None
    begun = unfinished.begun() if unfinished is not None else []
    lost = [one for one in begun if state is None or one.urn not in state.urns]
    recovery = recovery_environment(config, state, lost)
    if recovery:
        note("the last operation was cut off; `up` takes over what it made")
    environment = {
        **engine_environment(project, backend),
        **large_fleet_environment(config, state, backend),
        **recovery,
    }
    workspace_directory = prepare_workspace(project, stack)
    command = EngineCommand(root=str(engine.root))
    workspace = LocalWorkspace(work_dir=str(workspace_directory), env_vars=environment, pulumi_command=command)
    try:
        if state is not None or not create:
            opened = Stack.select(stack, workspace)
        else:
            opened = Stack.create_or_select(stack, workspace)
    except StackNotFoundError:
        raise NoSuchStackError(f"stack {stack!r} is not up. fix: paddock up --stack {stack}") from None
    except CommandError as error:
        raise OperationError(f"the engine cannot open stack {stack!r}: {_engine_text(error)}") from None
    return StackOperator(opened, workspace, command, project, backend, unfinished)


def _in_thread(work: Callable[[], T]) -> T:
    """Do the work in a thread of its own, so that signals reach this one meanwhile."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=run, name="engine")
    worker.start()
    while worker.is_alive():
        worker.join(0.2)
    if errors:
        raise errors[0]
    return results[0]


def _failure(stack: str, progress: Progress, error: CommandError) -> str:
    told = progress.errors or [_engine_text(error)]
    return "\n".join([f"stack {stack!r} could not be brought to where its config wants it:", *(f"  {t}" for t in told)])


def _engine_text(error: CommandError) -> str:
    """What the engine printed, without the SDK's wrapping."""
    text = str(error)
    marker = "stderr:"
    return text.split(marker, 1)[1].strip() if marker in text else text.strip()
