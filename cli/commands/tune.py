"""tune: the settings that serve a model best on this machine, tried on servers beside the running fleet."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from cli.console import Step as Progress
from cli.console import note, table, write, write_json
from cli.project import find_project
from cli.stack_spec import read_stack_spec
from cli.tuning.document import (
    BUSY_SHARE,
    COLUMNS,
    document,
    other_cpu_share,
    rows,
    shown_value,
)
from cli.tuning.race import Burst, Limits, OutOfTimeError
from cli.tuning.search import Search, Step, search
from cli.tuning.servers import Launch, Servers
from cli.tuning.settings import Candidate, knobs, setting_names
from cli.tuning.workload import Asked, Workload, answers, burst
from cli.tuning.write import write_settings
from components.local.commands import llamacpp_command, ollama_command, ollama_environment, ollama_store
from components.local.paths import stack_directory
from components.local.plan import LocalModel, gather_facts, plan_fleet
from components.local.provider.resource import Session
from components.local.provider.weights import WeightsType
from fleet_spec.errors import BadInputError, PaddockError

_PATIENCE = 4.0
"""A burst that takes so many times as long as the quickest is cut short: that it is slower is known by then."""
_SHORTEST_LIMIT_SECONDS = 10.0


class NothingMeasuredError(PaddockError):
    """Not even the present settings could be measured."""


@dataclass(frozen=True)
class Request:
    """What a person asked for."""

    model: str
    """The name that the stack's config gives it."""
    stack: str
    limits: Limits
    minutes: float
    concurrency: int | None
    """None: as many requests as the model computes at a time, and four at least."""
    prompt_tokens: int
    answer_tokens: int
    rounds: int
    settings: Sequence[str]


def run(request: Request, *, as_json: bool, write_back: bool) -> None:
    """Find the settings, print them, and put them into the stack's file where asked.

    Raises:
        BadInputError: the stack has no such model, or it is served by what this command does not start.
        NothingMeasuredError: no server answered.
    """
    project = find_project()
    model = _model(request, project.directory)
    cpus = os.cpu_count() or 1
    workload = Workload(
        request.concurrency or max(4, model.spec.parallel), request.prompt_tokens, request.answer_tokens
    )
    if workload.prompt_tokens + workload.answer_tokens > model.context_length:
        raise BadInputError(
            f"--prompt-tokens {workload.prompt_tokens} and --answer-tokens {workload.answer_tokens} together are over "
            f"the {model.context_length} tokens of {request.model}. fix: ask for less, or raise its contextLength"
        )
    found = _search(request, model, workload, cpus, project.directory, quiet=as_json)
    if not found.steps or not found.steps[0].outcome.runs[0].bursts:
        problem = found.steps[0].outcome.runs[0].problem if found.steps else "there was no time for a single race"
        raise NothingMeasuredError(f"{request.model} could not be measured: {problem}. fix: --minutes, or see above")
    written: str | None = None
    if write_back and found.best != found.start:
        written = write_settings(project.directory, request.stack, request.model, found.start, found.best)
    if as_json:
        write_json(
            document(
                found,
                stack=request.stack,
                model=request.model,
                workload=workload,
                limits=request.limits,
                cpus=cpus,
                written=written,
            )
        )
        return
    _print(found, written)


def _model(request: Request, directory: Path) -> LocalModel:
    spec = read_stack_spec(directory, request.stack)
    wanted = spec.models.get(request.model)
    if wanted is None:
        raise BadInputError(
            f"stack {request.stack!r} has no model {request.model!r}. fix: one of {', '.join(spec.models)}"
        )
    if spec.target != "local":
        raise BadInputError(
            f"stack {request.stack!r} runs on {spec.target}, and tune starts servers of this machine alone. fix: name "
            "a stack with target local; elsewhere, change a setting and compare with `paddock bench --baseline`"
        )
    alone = spec.model_copy(update={"models": {request.model: wanted}})
    catalogue = spec.catalogue
    model = plan_fleet(alone, gather_facts(catalogue), catalogue, directory)[0]
    if "embedding" in model.capabilities:
        raise BadInputError(f"{request.model} writes no text, whose speed tune measures. fix: name another model")
    return model


def _weights_path(model: LocalModel) -> str:
    """The model's file, put together where it comes in a package."""
    source = model.weights
    assert source is not None, "the plan gives llama.cpp a file"  # noqa: S101
    given = {"fileName": source.file_name, "sha256": source.sha256}
    given |= {"packageModule": source.package_module} if source.path is None else {"path": str(source.path)}
    weights = WeightsType()
    inputs, failures = weights.check(given, {})
    if failures:
        raise BadInputError("; ".join(f"weights {failure.property_name} {failure.reason}" for failure in failures))
    return str(weights.create(inputs, Session())[1]["path"])


def _llamacpp(model: LocalModel) -> Callable[[Candidate], Launch]:
    path = _weights_path(model)
    return lambda one: Launch(llamacpp_command(replace(model, spec=one.applied(model.spec)), path))


def _ollama(model: LocalModel, request: Request, directory: Path) -> Callable[[Candidate], Launch]:
    """Servers on the fleet's own store, of which nothing is changed: as many replicas share it, too."""
    binary = model.ollama_binary
    assert binary is not None, "the plan gives Ollama a binary"  # noqa: S101
    store = ollama_store(stack_directory(directory, request.stack), model)
    if not store.is_dir():
        raise BadInputError(f"Ollama has no models of stack {request.stack!r} yet. fix: `paddock up` first")
    return lambda one: Launch(
        ollama_command(binary), ollama_environment(replace(model, spec=one.applied(model.spec)), store)
    )


def _search(
    request: Request, model: LocalModel, workload: Workload, cpus: int, directory: Path, *, quiet: bool
) -> Search:
    wanted = knobs(request.settings, cpus=cpus, concurrency=workload.concurrency, engine=model.engine)
    launch = _llamacpp(model) if model.engine == "llamacpp" else _ollama(model, request, directory)
    asked = Asked("openai" if model.engine == "llamacpp" else "ollama", model.served_name)
    health = "/health" if model.engine == "llamacpp" else "/api/version"
    started = time.monotonic()
    whole_seconds = request.minutes * 60

    def time_for(share: float) -> bool:
        return time.monotonic() - started < share * whole_seconds

    with (
        _ended_in_order(),
        tempfile.TemporaryDirectory(prefix="paddock-tune-") as logs,
        Servers(launch, Path(logs), answers=lambda port: answers(port, health)) as servers,
        Progress(f"tuning {request.model} for {request.minutes:g} minutes at most") as progress,
    ):
        warm: set[int] = set()
        fastest_seconds: list[float] = []

        def measure(candidate: Candidate) -> Burst | str:
            if not time_for(1.0):
                raise OutOfTimeError
            progress.update(", ".join(shown_value(candidate, name) for name in candidate.document()))
            server = servers.of(candidate)
            if isinstance(server, str):
                return server
            if server.port not in warm:
                # The first requests find memory that nobody has touched yet.
                warm.add(server.port)
                problem = burst(server, asked, replace(workload, concurrency=1, waves=1, answer_tokens=4))
                if isinstance(problem, str):
                    return problem
            limit = max(_SHORTEST_LIMIT_SECONDS, _PATIENCE * min(fastest_seconds)) if fastest_seconds else None
            measured = burst(server, asked, workload, limit)
            if isinstance(measured, Burst):
                fastest_seconds.append(measured.seconds)
            return measured

        return search(
            Candidate.of(model.spec),
            wanted,
            measure,
            limits=request.limits,
            rounds=request.rounds,
            time_for=time_for,
            on_step=lambda step: None if quiet else note(_step_line(step)),
        )


@contextlib.contextmanager
def _ended_in_order() -> Generator[None]:
    """Have SIGTERM leave the blocks that it meets, so that no server is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _step_line(step: Step) -> str:
    name = step.knob.name
    tried = ", ".join(
        f"{shown_value(run.candidate, name)} {run.tokens_per_second:.1f} tokens/s"
        if run.bursts
        else f"{shown_value(run.candidate, name)} not possible"
        for run in step.outcome.runs
    )
    return f"{tried}. {shown_value(step.outcome.winner.candidate, name)}: {step.outcome.reason}"


def _print(found: Search, written: str | None) -> None:
    for step in found.steps:
        labels = [shown_value(one.candidate, step.knob.name) for one in step.outcome.runs]
        table(COLUMNS, rows(step.outcome, labels))
        write()
    if found.left_out:
        write(f"not tried, for want of time: {', '.join(found.left_out)}. Give it more with --minutes.")
    if found.final is not None:
        write("measured anew, by turns:")
        table(COLUMNS, rows(found.final, ["as it is now", "as found"]))
        write()
    changed = setting_names(found.start, found.best)
    if changed:
        write("proposal: " + ", ".join(shown_value(found.best, name) for name in changed))
        write(f"written to {written}; `paddock up` brings it about" if written else "put it into the stack: --write")
    else:
        write("no proposal: nothing that was tried is better than the settings of now, beyond the noise")
    other = other_cpu_share(found)
    if other is not None and other > BUSY_SHARE:
        note(
            f"other programs had {other:.0%} of this machine's processors meanwhile, which slows and blurs all of "
            "this. Repeat it when the machine is quiet."
        )
