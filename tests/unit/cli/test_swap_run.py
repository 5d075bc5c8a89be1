"""The steps of a swap on a pretended fleet: forward, back where one fails, and cut off at every single moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.asking import Question, Reply
from cli.engine.operations import InterruptedByUserError, OperationError
from cli.engine.state import LockedError
from cli.prompts import Prompt
from cli.stack_changes import at, load, section
from cli.swap.journal import JournalFile, Settings, SwapRunningError
from cli.swap.names import arms_of, served
from cli.swap.proposal import Wanted, propose
from cli.swap.run import Swap
from cli.swap.watch import Pace, SwapError
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit

FILE = """\
config:
  paddock:models:
    chat: {model: "llama3.1:8b"}  # the one
    other: mistral:7b
  paddock:aliases:
    default: chat
"""
NAMES = ("chat", "default", "other")
PACE = Pace(poll_seconds=2.0, settle_seconds=3.0, follow_seconds=6.0)


class KilledError(BaseException):
    """What kill -9 is to the steps: nothing of theirs runs after it."""


class Fleet:
    """A stack and its router: clients get what the last `up` that came to its end made of the file."""

    def __init__(self) -> None:
        self.text = FILE
        self.now = 0.0
        self.calls = 0
        self.kill_at: int | None = None
        self.ups = 0
        self.up_error: Callable[[dict[str, Any]], Exception | None] = lambda _: None
        self.answer: Callable[[str, str], Reply | None] = lambda _name, _model: None
        self.busy: dict[str, int | None] = {}
        self.history: list[str] = []
        self.deployed = self._data()

    def _data(self) -> dict[str, Any]:
        data = load(self.text)
        return {name: at(data, section(name)) or {} for name in ("models", "aliases")}

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.kill_at:
            raise KilledError

    # The stack

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self._call()
        self.text = text
        self._call()

    def up(self) -> None:
        self._call()
        data = self._data()
        error = self.up_error(data)
        if error is not None:
            raise error
        for alias, arms in data["aliases"].items():
            assert set(arms_of(arms)) <= set(served(data["models"])), f"{alias} leads nowhere"
        self.deployed = data
        self.ups += 1
        self.history.append(f"{sorted(data['models'])} chat={self.leads_to('chat')}")
        self._call()

    def contract(self) -> FleetContract:
        models = {
            name: {
                "model": entry if isinstance(entry, str) else entry["model"],
                "engine": "ollama",
                "contextLength": 512,
                "endpoints": [{"url": f"http://{name}"}],
            }
            for name, entry in self.deployed["models"].items()
        }
        models |= {name: models[base] for name, base in served(self.deployed["models"]).items() if name != base}
        url = "http://127.0.0.1:1"
        return FleetContract.from_mapping(
            {
                "version": 1,
                "stack": "test",
                "target": "local",
                "router": {"url": url, "openai": url, "ollama": url, "metrics": url},
                "models": models,
                "aliases": {alias: arms_of(arms) for alias, arms in self.deployed["aliases"].items()},
            }
        )

    # The router

    def leads_to(self, name: str) -> str:
        arms = arms_of(self.deployed["aliases"].get(name)) or {name: 1.0}
        (model,) = arms
        assert model in served(self.deployed["models"]), f"{name} has vanished"
        return model

    def ask(self, name: str, question: Question) -> Reply:
        self._call()
        model = self.leads_to(name)
        told = self.answer(name, model)
        if told is not None:
            return told
        seconds = 0.1 if question.stream else None
        return Reply("Hello from Tokyo.", model, f"http://{model}", ttft_seconds=seconds, status=200)

    def in_flight(self, model: str) -> int | None:
        self._call()
        return self.busy.get(model, 0)

    # Time

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def file(tmp_path: Path) -> JournalFile:
    return JournalFile(tmp_path)


def begin(fleet: Fleet, file: JournalFile, *prompts: Prompt, **settings: Any) -> Swap:
    journal = propose(Wanted("default", "gemma3:1b"), fleet.text, Settings(**settings))
    return Swap(journal, file, fleet, fleet, prompts=prompts, pace=PACE, clock=fleet.clock, sleep=fleet.sleep)


def go_on(fleet: Fleet, file: JournalFile) -> Swap:
    journal = file.read()
    assert journal is not None
    return Swap(journal, file, fleet, fleet, pace=PACE, clock=fleet.clock, sleep=fleet.sleep)


def demand_as_before(fleet: Fleet, file: JournalFile) -> None:
    assert fleet.text == FILE
    assert set(fleet.deployed["models"]) == {"chat", "other"}
    assert [fleet.leads_to(name) for name in NAMES] == ["chat", "chat", "other"]
    assert file.read() is None


def demand_swapped(fleet: Fleet, file: JournalFile) -> None:
    assert set(fleet.deployed["models"]) == {"chat-2", "other"}
    assert fleet.deployed["models"]["chat-2"] == {"model": "gemma3:1b"}
    assert [fleet.leads_to(name) for name in NAMES] == ["chat-2", "chat-2", "other"]
    assert set(fleet.deployed["aliases"]) == {"default", "chat"}
    assert file.read() is None


def test_a_swap_in_its_order(fleet: Fleet, file: JournalFile) -> None:
    outcome = begin(fleet, file).run()
    assert [one.step for one in outcome.steps] == ["deploy", "warm", "check", "turn", "drain", "remove"]
    assert fleet.history == [
        "['chat', 'chat-2', 'other'] chat=chat",
        "['chat', 'chat-2', 'other'] chat=chat-2",
        "['chat-2', 'other'] chat=chat-2",
    ]
    assert (outcome.outcome, outcome.drained) == ("swapped", True)
    assert "# the one" in fleet.text
    demand_swapped(fleet, file)


def test_adapters_come_along_warmed_and_are_drained_with_their_model(fleet: Fleet, file: JournalFile) -> None:
    fleet.text = FILE.replace('{model: "llama3.1:8b"}', '{model: "llama3.1:8b", adapters: {law: law.gguf}}')
    fleet.up()
    fleet.busy["law"] = 2
    warmed: list[str] = []
    fleet.answer = lambda name, _: warmed.append(name)
    journal = propose(
        Wanted("default", "llama3.1:8b", context_length_tokens=512), fleet.text, Settings(drain_seconds=9)
    )
    swap = Swap(journal, file, fleet, fleet, pace=PACE, clock=fleet.clock, sleep=fleet.sleep)
    outcome = swap.run()
    assert warmed[:2] == ["chat-2-candidate", "law-2-candidate"]
    assert (outcome.outcome, outcome.drained) == ("swapped", False), "what the adapter computed was looked at, too"
    assert [fleet.leads_to(name) for name in ("chat", "law", "default")] == ["chat-2", "law-2", "chat-2"]
    assert "law" in warmed, "that the old name is answered was seen"


def test_an_adapter_that_does_not_answer_puts_everything_back(fleet: Fleet, file: JournalFile) -> None:
    before = fleet.text = FILE.replace('{model: "llama3.1:8b"}', '{model: "llama3.1:8b", adapters: {law: law.gguf}}')
    fleet.up()
    bad = Reply(status=400, problem="no such adapter")
    fleet.answer = lambda name, _: bad if name == "law-2-candidate" else None
    journal = propose(Wanted("default", "llama3.1:8b", context_length_tokens=512), fleet.text, Settings())
    outcome = Swap(journal, file, fleet, fleet, pace=PACE, clock=fleet.clock, sleep=fleet.sleep).run()
    assert outcome.outcome == "undone"
    assert "law-2 gives no answer" in outcome.why
    assert fleet.text == before


def test_the_old_model_goes_when_its_last_request_has_ended(fleet: Fleet, file: JournalFile) -> None:
    fleet.busy["chat"] = 3
    swap = begin(fleet, file)
    waited: list[float] = []
    sleep = fleet.sleep

    def end_at_twenty(seconds: float) -> None:
        sleep(seconds)
        if fleet.now > 20 and fleet.busy["chat"]:
            fleet.busy["chat"] = 0
            waited.append(fleet.now)
        assert "chat" in fleet.deployed["models"] or waited

    object.__setattr__(swap._watch, "sleep", end_at_twenty)  # pyright: ignore[reportPrivateUsage]
    assert swap.run().drained is True
    assert waited
    demand_swapped(fleet, file)


def test_requests_that_never_end_do_not_hold_it_up_for_ever(fleet: Fleet, file: JournalFile) -> None:
    fleet.busy["chat"] = 3
    outcome = begin(fleet, file, drain_seconds=60).run()
    assert outcome.drained is False
    assert "3 requests" in next(one.detail for one in outcome.steps if one.step == "drain")
    demand_swapped(fleet, file)


def test_a_router_that_does_not_tell_what_is_in_flight_is_given_the_whole_time(fleet: Fleet, file: JournalFile) -> None:
    fleet.busy["chat"] = None
    assert begin(fleet, file, drain_seconds=60).run().drained is None
    assert fleet.now >= 60


@pytest.mark.parametrize(
    ("prompts", "settings", "told"),
    [
        ([Prompt(prompt="capital of Japan?", expect="Kyoto")], {}, "does not have 'Kyoto'"),
        ([Prompt(prompt="hello", matches="^[0-9]+$")], {}, "does not match"),
        ([Prompt.model_validate({"prompt": "hello", "json": {"type": "object"}})], {}, "is not JSON"),
        ([], {"max_ttft_seconds": 0.05}, "the first token is 0.100 s"),
    ],
)
def test_a_model_that_fails_a_check_never_reaches_a_client(
    fleet: Fleet, file: JournalFile, prompts: list[Prompt], settings: dict[str, Any], told: str
) -> None:
    outcome = begin(fleet, file, *prompts, **settings).run()
    assert outcome.outcome == "undone"
    assert told in outcome.why
    assert all("chat=chat" in one and "chat=chat-2" not in one for one in fleet.history)
    demand_as_before(fleet, file)


def test_some_failures_are_allowed_where_that_is_asked_for(fleet: Fleet, file: JournalFile) -> None:
    prompts = [Prompt(prompt="capital of Japan?", expect=one) for one in ("Tokyo", "tokyo", "Hello", "Kyoto")]
    outcome = begin(fleet, file, *prompts, max_error_rate=0.25).run()
    assert outcome.verdict is not None
    assert outcome.verdict.to_mapping()["errorRate"] == 0.25
    demand_swapped(fleet, file)


def test_a_model_that_does_not_come_up_is_taken_away_again(fleet: Fleet, file: JournalFile) -> None:
    fleet.up_error = lambda data: OperationError("no memory") if "chat-2" in data["models"] else None
    outcome = begin(fleet, file).run()
    assert (outcome.outcome, outcome.why) == ("undone", "no memory")
    demand_as_before(fleet, file)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, problem="llama runner terminated"),
        Reply(status=400, problem="too long"),
        Reply(problem="nobody"),
    ],
)
def test_a_model_that_never_answers_is_taken_away_again(fleet: Fleet, file: JournalFile, reply: Reply) -> None:
    fleet.answer = lambda _, model: reply if model == "chat-2" else None
    outcome = begin(fleet, file, warm_seconds=30).run()
    assert "chat-2 gives no answer" in outcome.why
    assert fleet.now < 60
    demand_as_before(fleet, file)


def test_a_model_that_fails_as_soon_as_clients_get_it_is_turned_back(fleet: Fleet, file: JournalFile) -> None:
    fleet.answer = lambda name, model: (
        Reply(model=model, problem="502") if (name, model) == ("default", "chat-2") else None
    )
    outcome = begin(fleet, file).run()
    assert [one.step for one in outcome.steps] == ["deploy", "warm", "check", "turn back", "drain", "put back"]
    assert "does not give clients chat-2" in outcome.why
    demand_as_before(fleet, file)


def test_an_old_model_that_cannot_be_removed_leaves_the_new_one_serving(fleet: Fleet, file: JournalFile) -> None:
    fleet.up_error = lambda data: OperationError("it will not go") if "chat" not in data["models"] else None
    with pytest.raises(SwapError, match="chat-2 serves, and chat is not gone yet"):
        begin(fleet, file).run()
    assert fleet.leads_to("default") == "chat-2"
    fleet.up_error = lambda _: None
    go_on(fleet, file).run()
    demand_swapped(fleet, file)


@pytest.mark.parametrize("error", [LockedError("another"), InterruptedByUserError("stopped")])
def test_what_is_nobodys_fault_is_not_undone_but_gone_on_with(
    fleet: Fleet, file: JournalFile, error: Exception
) -> None:
    fleet.up_error = lambda _: error
    with pytest.raises(type(error)):
        begin(fleet, file).run()
    fleet.up_error = lambda _: None
    go_on(fleet, file).run()
    demand_swapped(fleet, file)


def calls_of(work: Callable[[Fleet, JournalFile], object], directory: Path) -> int:
    directory.mkdir()
    fleet = Fleet()
    work(fleet, JournalFile(directory))
    return fleet.calls


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_killed_at_every_moment_it_serves_and_is_finished_or_undone(tmp_path: Path, end: str) -> None:
    moments = calls_of(lambda fleet, file: begin(fleet, file).run(), tmp_path / "whole")
    assert moments > 20
    for moment in range(1, moments + 1):
        fleet, file = Fleet(), JournalFile(tmp_path / f"{moment}")
        fleet.kill_at = moment
        with pytest.raises(KilledError):
            begin(fleet, file).run()
        for name in NAMES:
            fleet.leads_to(name)  # it serves as it was left ...
        fleet.up()
        for name in NAMES:
            fleet.leads_to(name)  # ... and after a plain `up`
        if end == "finish":
            go_on(fleet, file).run()
            demand_swapped(fleet, file)
        else:
            go_on(fleet, file).undo("it was asked for")
            demand_as_before(fleet, file)


def test_killed_while_it_is_undone_it_is_undone_by_the_next_one(tmp_path: Path) -> None:
    def failing(fleet: Fleet, file: JournalFile) -> None:
        fleet.answer = lambda name, model: (
            Reply(model=model, problem="502") if (name, model) == ("default", "chat-2") else None
        )
        begin(fleet, file).run()

    for moment in range(1, calls_of(failing, tmp_path / "whole") + 1):
        fleet, file = Fleet(), JournalFile(tmp_path / f"{moment}")
        fleet.kill_at = moment
        with pytest.raises(KilledError):
            failing(fleet, file)
        assert go_on(fleet, file).run().outcome == "undone"
        demand_as_before(fleet, file)


def test_one_swap_of_a_stack_at_a_time(fleet: Fleet, tmp_path: Path) -> None:
    first, second = JournalFile(tmp_path), JournalFile(tmp_path)
    with first.held():
        first.write(propose(Wanted("default", "gemma3:1b"), fleet.text, Settings()), "check")
        with (
            pytest.raises(SwapRunningError, match=r"default \(chat\) to gemma3:1b \(chat-2\), at the step 'check'"),
            second.held(),
        ):
            pass
    with second.held():
        assert second.read() is not None


def test_a_journal_that_was_changed_by_hand_is_named(tmp_path: Path) -> None:
    (tmp_path / "swap.json").write_text('{"version": 2}')
    with pytest.raises(BadInputError, match=r"swap\.json"):
        JournalFile(tmp_path).read()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted("default", "llama3.1:8b"), "already"),
        (Wanted("nothing", "gemma3:1b"), "no model and no alias"),
        (Wanted("chat", "gemma3:1b", new_name="other"), "taken"),
        (Wanted("chat", "mine:1b", weights="a.gguf"), "--sha256"),
    ],
)
def test_what_cannot_be_swapped_is_refused(fleet: Fleet, wanted: Wanted, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        propose(wanted, fleet.text, Settings())


def test_a_model_under_an_ab_test_is_not_swapped(fleet: Fleet) -> None:
    text = (
        fleet.text.replace("default: chat", "default: {chat: 0.5, other: 0.5}")
        + "  paddock:experiments:\n    default: {}\n"
    )
    with pytest.raises(BadInputError, match="paddock ab end default"):
        propose(Wanted("chat", "gemma3:1b"), text, Settings())


def test_the_new_model_takes_over_every_setting_but_those_of_the_weights(fleet: Fleet) -> None:
    chat = '{model: "llama3.1:8b", engine: vllm, quantization: awq, replicas: 2, gpu: nvidia-l4}'
    text = fleet.text.replace('{model: "llama3.1:8b"}', chat)
    entry = propose(Wanted("chat", "mistral:7b", context_length_tokens=1024), text, Settings()).entry
    assert entry == {
        "model": "mistral:7b",
        "engine": "vllm",
        "replicas": 2,
        "gpu": "nvidia-l4",
        "contextLength": 1024,
    }
    same = propose(Wanted("chat", "llama3.1:8b", context_length_tokens=1024), text, Settings()).entry
    assert same["quantization"] == "awq"
