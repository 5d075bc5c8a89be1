"""ab start and ab end: what they write into a stack's file, and what they refuse before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.ab.judge import demand_scores, is_checkable, judge_all, name_of, read_score
from cli.asking import Question, Reply
from cli.main import app
from cli.prompts import Prompt
from fleet_spec.errors import BadInputError, Problem, SpecError
from fleet_spec.stack_file import read_stack_file

pytestmark = pytest.mark.unit

STACK = """\
# Two small models.
config:
  paddock:models:
    old:
      model: gemma3:270m   # the one that clients know
    new: gemma3:270m
    other: gemma3:270m
  paddock:aliases: {default: old, fast: new}
  # The last word.
  paddock:budget:
    monthlyUsd: 10
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: paddock\n")
    (tmp_path / "__main__.py").write_text("")
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["ab", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(project: Path, *arguments: str) -> BadInputError:
    before = (project / "Pulumi.dev.yaml").read_text()
    with pytest.raises(BadInputError) as caught:
        CliRunner().invoke(app, ["ab", *arguments], catch_exceptions=False)
    assert (project / "Pulumi.dev.yaml").read_text() == before
    return caught.value


def config(project: Path) -> dict[str, Any]:
    return read_stack_file(project, "dev").raw


HALVES = ("--arm", "old=0.5", "--arm", "new=0.5")


def test_a_test_is_written_and_the_rest_of_the_file_stays(project: Path) -> None:
    options = ("--guard", "error-rate=0.05", "--guard", "ttft-p95-ms=800", "--promote", "--min-effect", "0.1")
    said = json.loads(run("start", "default", *HALVES, *options, "--write", "--json"))
    written = config(project)
    assert written["aliases"] == {"default": {"old": 0.5, "new": 0.5}, "fast": "new"}
    started = written["experiments"]["default"].pop("started")
    assert said["experiment"]["started"] == started
    assert started.endswith("Z")
    assert written["experiments"] == {
        "default": {
            "baseline": "old",
            "metric": "latency",
            "guards": {"errorRate": 0.05, "ttftP95Ms": 800},
            "promote": True,
            "minEffect": 0.1,
        }
    }
    text = (project / "Pulumi.dev.yaml").read_text()
    assert "model: gemma3:270m   # the one that clients know\n" in text
    assert "  # The last word.\n  paddock:budget:\n    monthlyUsd: 10\n" in text


def test_what_the_alias_stood_for_is_the_baseline_wherever_it_is_named(project: Path) -> None:
    run("start", "fast", "--arm", "other=20", "--arm", "new=80", "--write")
    assert config(project)["experiments"]["fast"]["baseline"] == "new"


def test_the_end_leaves_one_arm(project: Path) -> None:
    run("start", "default", *HALVES, "--write")
    said = json.loads(run("end", "default", "--keep", "new", "--write", "--json"))
    assert (said["arms"], said["experiment"], said["changes"]) == ("new", None, None)
    written = config(project)
    assert written["aliases"] == {"default": "new", "fast": "new"}
    assert not written["experiments"]
    run("start", "default", "--arm", "new=0.9", "--arm", "other=0.1", "--write")
    assert config(project)["experiments"]["default"]["baseline"] == "new"


def test_aliases_in_block_style_are_changed_too(project: Path) -> None:
    path = project / "Pulumi.dev.yaml"
    path.write_text(STACK.replace("aliases: {default: old, fast: new}", "aliases:\n    default: old\n    fast: new"))
    run("start", "default", *HALVES, "--write")
    run("start", "fast", *HALVES, "--write")
    run("end", "default", "--keep", "old", "--write")
    assert config(project)["aliases"] == {"fast": {"old": 0.5, "new": 0.5}, "default": "old"}
    assert list(config(project)["experiments"]) == ["fast"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "defalt", *HALVES), "'defalt' is no alias of this fleet. fix: did you mean 'default'?"),
        (("start", "old", *HALVES), "'old' is a model, and no alias, of this fleet"),
        (("start", "default", "--arm", "old=0.5", "--arm", "nwe=0.5"), "arm 'nwe' is no model of this fleet. fix: did"),
        (("start", "default", "--arm", "old=1"), "old=1: one arm cannot be compared. fix: name two arms"),
        (("start", "default", "--arm", "old=0.5", "--arm", "new=0.4"), "sum to 0.9. fix: have them sum to 1 or to 100"),
        (("start", "default", "--arm", "old=1", "--arm", "new=0"), "arm 'new' has the weight 0"),
        (("start", "default", "--arm", "old=2", "--arm", "new=-1"), "arm 'new' has the weight -1"),
        (("start", "default", "--arm", "old=nan", "--arm", "new=1"), "arm 'old' has the weight nan"),
        (("start", "default", "--arm", "old"), "--arm 'old' cannot be read. fix: write it as MODEL=WEIGHT"),
        (("start", "default", "--arm", "old=a"), "--arm 'old=a' cannot be read"),
        (("start", "default", *HALVES, "--arm", "old=0"), "--arm 'old' is there twice"),
        (("start", "default", *HALVES, "--guard", "errorrate=1"), "no such guard. fix: did you mean 'error-rate'?"),
        (("start", "default", *HALVES, "--baseline", "other"), "--baseline 'other' is no arm"),
        (("end", "default", "--keep", "old"), "alias 'default' is under no A/B test"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    project: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in str(refused(project, *arguments, "--write"))


def test_a_limit_that_cannot_be_names_its_key(project: Path) -> None:
    error = refused(project, "start", "default", *HALVES, "--guard", "error-rate=2", "--write")
    assert isinstance(error, SpecError)
    assert [problem.key for problem in error.problems] == ["experiments.default.guards.errorRate"]


def test_an_alias_takes_one_test_at_a_time(project: Path) -> None:
    run("start", "default", *HALVES, "--write")
    assert "is under an A/B test already. fix: paddock ab end default --keep old" in str(
        refused(project, "start", "default", *HALVES, "--write")
    )
    assert "did you mean 'new'?" in str(refused(project, "end", "default", "--keep", "nwe", "--write"))


def test_without_a_terminal_nothing_is_written_unasked(project: Path) -> None:
    assert "add --yes" in str(refused(project, "start", "default", *HALVES))


def test_what_this_machine_cannot_run_leaves_the_file_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise SpecError([Problem("models.new", "does not fit", "free some memory")])

    monkeypatch.setattr("cli.commands.ab.check_stack", lacking)
    assert "does not fit" in str(refused(project, "start", "default", *HALVES, "--yes"))


# Judging


class Fleet:
    """Answers by name: what it is told to say, or how a judge grades."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Question]] = []

    def ask(self, name: str, question: Question) -> Reply:
        self.asked.append((name, question))
        said = self.answers[name]
        return Reply(problem=said) if said.startswith("!") else Reply(said)


def no_news(_number: int, _judged: object) -> None:
    """Nobody listens."""


def test_the_arms_take_turns_and_checks_score_without_a_judge() -> None:
    fleet = Fleet(a="Tokyo", b="Paris")
    prompts = [Prompt(prompt="Capital of Japan?", expect="tokyo"), Prompt(prompt="Capital of France?", expect="paris")]
    found = judge_all(fleet, prompts, ["a", "b"], None, no_news)
    assert [one.scores for one in found] == [{"a": 1.0, "b": 0.0}, {"b": 1.0, "a": 0.0}]
    assert [name for name, _ in fleet.asked] == ["a", "b", "b", "a"]


def test_a_judge_sees_the_task_and_one_answer_and_is_held_to_a_number() -> None:
    fleet = Fleet(a="A poem.", b="!broke off", judge='{"score": 7}')
    (judged,) = judge_all(fleet, [Prompt(prompt="Write a poem.")], ["a", "b"], "judge", no_news)
    assert judged.scores == {"a": 0.7}
    assert judged.problems == {"b": "!broke off"}
    ((_, asked),) = [one for one in fleet.asked if one[0] == "judge"]
    assert "<task>\nWrite a poem.\n</task>\n<answer>\nA poem.\n</answer>" in asked.prompt
    assert asked.schema is not None


@pytest.mark.parametrize(
    ("text", "score"),
    [('{"score": 10}', 1.0), ("Score: 8/10", 0.8), ("7", 0.7), ("0", 0.0), ('{"score": 2.5}', 0.25)],
)
def test_a_score_is_read_from_what_judges_say(text: str, score: float) -> None:
    assert read_score(text) == score


@pytest.mark.parametrize("text", ["", "good", "11", '{"score": true}', '{"grade": 3}', "[3]"])
def test_what_is_no_score_is_none(text: str) -> None:
    assert "no number from 0 to 10" in str(read_score(text))


def test_prompts_that_nobody_can_score_are_refused() -> None:
    open_ended, checkable = Prompt(prompt="Write a poem."), Prompt(prompt="2 + 2?", matches=r"\b4\b")
    assert not is_checkable(open_ended)
    demand_scores([open_ended], "judge")
    demand_scores([checkable], None)
    with pytest.raises(BadInputError, match="1 of 2 prompts do not say what a right answer has in it"):
        demand_scores([open_ended, checkable], None)


def test_a_prompts_name_does_not_tell_it() -> None:
    prompt = Prompt(prompt="Is Ada Lovelace ill?")
    assert name_of(prompt) == name_of(Prompt.model_validate({"prompt": "Is Ada Lovelace ill?", "maxTokens": 5}))
    assert len(name_of(prompt)) == 16
    assert name_of(prompt) != name_of(Prompt(prompt="Is Ada Lovelace ill?", system="Be brief."))
