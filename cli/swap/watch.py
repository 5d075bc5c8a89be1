"""Waiting, during a swap, for what a router shows: a model answers, who answers to a name, a model is idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.asking import Asking, Question
from cli.console import Step
from fleet_spec.errors import PaddockError

_REFUSED = frozenset({400, 401, 403})
"""Answers that no waiting changes."""
_SERVER_ERROR = 500
_MOST_SERVER_ERRORS = 3
_ROUNDS = 4
"""How often each replica is given the chance to answer: which one is asked is for the router to choose."""


class SwapError(PaddockError):
    """A step of a swap failed."""


@dataclass(frozen=True)
class Pace:
    """How long a swap looks, in seconds."""

    poll_seconds: float = 0.5
    settle_seconds: float = 2.5
    """For so long nothing may be otherwise before it is believed: every worker of a router looks at its contract
    each half second, and tells the others as often what it has in flight."""
    follow_seconds: float = 30.0
    """How long the router may take to follow a new contract."""


CLUSTER_PACE = Pace(poll_seconds=2.0, settle_seconds=10.0, follow_seconds=300.0)
"""On a cluster, kubelets bring a changed contract within two minutes."""


@dataclass(frozen=True)
class Watch:
    """Looks at a router again and again."""

    asking: Asking
    pace: Pace
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def warm(self, model: str, question: Question, *, asked_as: str, replicas: int, limit_seconds: float) -> int:
        """Ask until every replica has answered: engines load a model with its first request.

        Args:
            model: Who is to answer.
            question: What to ask.
            asked_as: The name to ask.
            replicas: How many servers there are.
            limit_seconds: How long the first answers may take.

        Returns:
            How many of them answered. Fewer than there are is no fault: the router may favour some.

        Raises:
            SwapError: it gives no answer.
        """
        seen: set[str] = set()
        answers = errors = 0
        deadline = self.clock() + limit_seconds
        with Step(f"warming {model}") as telling:
            while len(seen) < replicas and answers < _ROUNDS * replicas:
                reply = self.asking.ask(asked_as, question)
                if reply.problem is None and reply.model == model:
                    answers += 1
                    seen.add(reply.endpoint)
                    continue
                problem = reply.problem or f"{reply.model} answered in its place"
                errors = errors + 1 if reply.status == _SERVER_ERROR else 0
                if reply.status in _REFUSED or errors == _MOST_SERVER_ERRORS or self.clock() > deadline:
                    raise SwapError(f"{model} gives no answer: {problem}")
                telling.update(problem)
                self.sleep(self.pace.poll_seconds)
            telling.finish(f"{model} is warm")
        return len(seen)

    def wait_until_answered_by(self, model: str, names: Sequence[str], question: Question) -> None:
        """Wait until names are answered by a model, and by no other for a while.

        Raises:
            SwapError: that does not happen in time.
        """
        deadline = self.clock() + self.pace.follow_seconds
        since: float | None = None
        with Step(f"looking who answers to {', '.join(names)}") as telling:
            while since is None or self.clock() - since < self.pace.settle_seconds:
                problem = self._other_answer(names, model, question)
                if problem is None:
                    since = self.clock() if since is None else since
                else:
                    since = None
                    telling.update(problem)
                    if self.clock() > deadline:
                        raise SwapError(f"the router does not give clients {model}: {problem}")
                self.sleep(self.pace.poll_seconds)
            telling.finish(f"{model} answers to {', '.join(names)}")

    def wait_until_idle(self, models: Sequence[str], limit_seconds: float) -> int | None:
        """Wait until nothing of a model and its adapters is in flight for a while, or the time for it is over.

        Returns:
            What is still in flight then; None where the router does not tell.
        """
        deadline = self.clock() + limit_seconds
        since: float | None = None
        count: int | None = None
        named = ", ".join(models)
        with Step(f"draining {named}") as telling:
            while since is None or self.clock() - since < self.pace.settle_seconds:
                counts = [self.asking.in_flight(model) for model in models]
                known = [one for one in counts if one is not None]
                count = sum(known) if len(known) == len(counts) else None
                if count == 0:
                    since = self.clock() if since is None else since
                else:
                    since = None
                    telling.update("the router does not tell what is in flight" if count is None else f"{count} left")
                    if self.clock() >= deadline:
                        break
                self.sleep(self.pace.poll_seconds)
            telling.finish(f"drained {named}" if count == 0 else f"{named}: the time to drain is over")
        return count

    def _other_answer(self, names: Sequence[str], model: str, question: Question) -> str | None:
        for name in names:
            reply = self.asking.ask(name, question)
            if reply.problem is not None:
                return f"{name}: {reply.problem}"
            if reply.model != model:
                return f"{name} is answered by {reply.model}"
        return None
