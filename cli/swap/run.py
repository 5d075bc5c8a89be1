"""The steps of a swap, one after another, and the way back. Each step can be taken again after it was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from cli.asking import Asking, Question
from cli.console import Step as Telling
from cli.console import note
from cli.engine.operations import InterruptedByUserError
from cli.engine.state import LockedError
from cli.prompts import Prompt
from cli.stack_changes import at, load, section
from cli.swap.checks import Verdict, run_checks
from cli.swap.journal import Journal, JournalFile, Step
from cli.swap.watch import Pace, SwapError, Watch
from fleet_spec.contract import FleetContract, ModelEndpoints
from fleet_spec.errors import PaddockError
from fleet_spec.model_spec import ModelSpec

STEPS: tuple[Step, ...] = ("deploy", "warm", "check", "turn", "drain", "remove")


class Deployment(Protocol):
    """What a swap needs of a stack."""

    def read(self) -> str:
        """The text of its file."""
        ...

    def write(self, text: str) -> None:
        """Replace its file, whole or not at all."""
        ...

    def up(self) -> None:
        """Bring it to what its file says. Raises PaddockError."""
        ...

    def contract(self) -> FleetContract:
        """What it exports now."""
        ...


@dataclass(frozen=True)
class StepTaken:
    """A step that is over."""

    step: str
    seconds: float
    detail: str


@dataclass
class Outcome:
    """What a swap came to."""

    outcome: Literal["swapped", "undone"] = "swapped"
    why: str = ""
    """Why it was undone."""
    steps: list[StepTaken] = field(default_factory=list[StepTaken])
    verdict: Verdict | None = None
    drained: bool | None = None
    """Whether the model that went had answered everything when it went; None where nobody could tell."""


class Swap:
    """One swap of one stack. :meth:`run` goes on from the step that the journal names; :meth:`undo` goes back."""

    def __init__(
        self,
        journal: Journal,
        file: JournalFile,
        deployment: Deployment,
        asking: Asking,
        *,
        prompts: Sequence[Prompt] = (),
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a swap; nothing is changed yet.

        Args:
            journal: What is to be done, and the step that comes next.
            file: Where that is kept.
            deployment: The stack.
            asking: Its router.
            prompts: What to check; without any, the built-in prompts.
            pace: How long to look.
            clock: Tells the time in seconds.
            sleep: Waits so many seconds.
        """
        self._journal = journal
        self._file = file
        self._deployment = deployment
        self._asking = asking
        self._prompts = prompts
        self._watch = Watch(asking, pace or Pace(), clock, sleep)
        self._clock = clock
        self._edits = journal.edits
        self._done = Outcome()

    def run(self) -> Outcome:
        """Take the steps that are left.

        Raises:
            PaddockError: it was stopped by a person, another command is at work on the stack, or the old model could
                not be removed: the stack serves, and the journal knows how to go on. Anything else is undone.
        """
        if self._journal.step == "undo":
            return self.undo(self._journal.why)
        for step in STEPS[STEPS.index(self._journal.step) :]:
            try:
                self._journal = self._file.write(self._journal, step)
                self._taken(step, getattr(self, f"_{step}"))
            except (LockedError, InterruptedByUserError):
                raise
            except PaddockError as error:
                if step == "remove":
                    told = f"{self._journal.new} serves, and {self._journal.old} is not gone yet: {error}"
                    raise SwapError(told) from error
                note(f"{step} failed: {error}")
                return self.undo(str(error))
        self._file.clear()
        return self._done

    def undo(self, why: str) -> Outcome:
        """Give clients the old model again, and remove the new one.

        Raises:
            PaddockError: that failed, too; the journal knows how to go on.
        """
        self._done.outcome, self._done.why = "undone", why
        self._journal = self._file.write(self._journal, "undo", why=why)
        if self._journal.turned:
            self._taken("turn back", self._turn_back)
            self._taken("drain", lambda: self._idle([one.new for one in self._journal.every]))
            self._journal = self._file.write(self._journal, "undo", turned=False)
        self._taken("put back", self._put_back)
        self._file.clear()
        return self._done

    def _taken(self, step: str, work: Callable[[], str]) -> None:
        started = self._clock()
        detail = work()
        self._done.steps.append(StepTaken(step, self._clock() - started, detail))

    # Forward

    def _deploy(self) -> str:
        self._bring(self._edits.forward(self._deployment.read(), "beside"))
        return f"{self._journal.new} is up beside {self._journal.old}"

    def _warm(self) -> str:
        wanted = self._replicas(self._journal.new)
        answered = [
            self._watch.warm(
                one.new,
                self._short_question(one.new),
                asked_as=one.candidate,
                replicas=wanted,
                limit_seconds=self._journal.settings.warm_seconds,
            )
            for one in self._journal.every
        ]
        adapters = f", {len(self._journal.adapters)} adapters as well" if self._journal.adapters else ""
        return f"{answered[0]} of {wanted} replicas answered{adapters}"

    def _check(self) -> str:
        settings = self._journal.settings
        entry = self._entry(self._journal.new)
        with Telling(f"checking {self._journal.new}") as telling:
            verdict = run_checks(
                self._asking, self._journal.candidate, self._prompts, chats=_chats(entry), progress=telling.update
            )
            telling.finish(f"checked {self._journal.new}: {verdict.asked - len(verdict.failures)} of {verdict.asked}")
        self._done.verdict = verdict
        objection = verdict.objection(settings.max_error_rate, settings.max_ttft_seconds)
        if objection is not None:
            raise SwapError(objection)
        slow = verdict.ttft(0.95)
        told = f", first token within {slow:.3f} s (p95)" if slow is not None else ""
        return f"{verdict.asked - len(verdict.failures)} of {verdict.asked} answers are good{told}"

    def _turn(self) -> str:
        self._journal = self._file.write(self._journal, "turn", turned=True)
        self._bring(self._edits.forward(self._deployment.read(), "turned"))
        return "; ".join(f"{', '.join(self._led_to(one.new))} lead to {one.new}" for one in self._journal.every)

    def _drain(self) -> str:
        return self._idle([one.old for one in self._journal.every])

    def _remove(self) -> str:
        self._bring(self._edits.forward(self._deployment.read(), "final"))
        return f"{self._journal.old} is gone"

    # Back

    def _turn_back(self) -> str:
        self._bring(self._edits.backward(self._deployment.read(), "beside"))
        return "; ".join(f"{', '.join(self._led_to(one.old))} lead to {one.old} again" for one in self._journal.every)

    def _put_back(self) -> str:
        self._bring(self._edits.backward(self._deployment.read(), "original"))
        return f"{self._journal.new} is gone"

    # What the steps are made of

    def _bring(self, text: str) -> None:
        if text != self._deployment.read():
            self._deployment.write(text)
        self._deployment.up()

    def _led_to(self, model: str) -> list[str]:
        """Wait until every name that leads to a model alone is answered by it. Gives the names."""
        names = self._names_of(model)
        self._watch.wait_until_answered_by(model, names, self._short_question(model))
        return names

    def _names_of(self, model: str) -> list[str]:
        """The names that lead to a model alone."""
        aliases = self._deployment.contract().aliases
        alone = [alias for alias, arms in aliases.items() if [arm for arm in arms if arms[arm]] == [model]]
        own = [] if model in aliases else [model]
        candidates = {one.candidate for one in self._journal.every}
        return [*own, *(alias for alias in alone if alias not in candidates)]

    def _idle(self, models: Sequence[str]) -> str:
        limit_seconds = self._journal.settings.drain_seconds
        left = self._watch.wait_until_idle(models, limit_seconds)
        self._done.drained = None if left is None else left == 0
        if left == 0:
            return f"nothing of {', '.join(models)} is in flight"
        told = "the router does not tell what is in flight" if left is None else f"{left} requests are cut off"
        return f"{limit_seconds:g} s are over: {told}"

    def _entry(self, model: str) -> ModelEndpoints:
        known = self._deployment.contract().models.get(model)
        if known is None:
            raise SwapError(f"the stack's contract has no {model!r}")
        return known

    def _short_question(self, model: str) -> Question:
        if not _chats(self._entry(model)):
            return Question("hello", embedding=True)
        return Question("Say hello.", max_tokens=4, stream=False)

    def _replicas(self, model: str) -> int:
        """How many servers are to be warm: those that the contract names, or those that are always there."""
        endpoints = self._entry(model).endpoints
        if any(endpoint.discover for endpoint in endpoints):
            entry: Any = (at(load(self._edits.texts["beside"]), section("models")) or {})[model]
            return max(1, ModelSpec.model_validate(entry).replicas.min)
        return max(1, len(endpoints))


def _chats(entry: ModelEndpoints) -> bool:
    """Whether a model is asked for text; one that only embeds is asked for vectors."""
    return "embedding" not in entry.capabilities or "chat" in entry.capabilities
