"""The software team: its tests are really run, what fails is given back, and the rounds are bounded."""

from __future__ import annotations

from agent_runtime.agents.teams.records import TeamResult
from agent_runtime.agents.teams.software import software_flow
from agent_runtime.agents.teams.systems import software_team, team_named
from agent_runtime.agents.teams.team import TeamLimits
from agent_runtime.agents.teams.transcript import markdown
from agent_runtime.agents.tools.catalogue import ToolSettings
from tests.unit.agents.teams.scripted import Script

TASK = "A function that doubles a number."
GOOD = "```python\n# file: double.py\ndef double(n: int) -> int:\n    return 2 * n\n```"
WRONG = "```python\n# file: double.py\ndef double(n: int) -> int:\n    return n + 2\n```"
TESTS = (
    "```python\n# file: test_double.py\nfrom double import double\n\n\n"
    "def test_three():\n    assert double(3) == 6\n```"
)
APPROVED = "Good work.\nVERDICT: APPROVE"
SETTINGS = ToolSettings(allow_unisolated=True)
"""The code of these tests is trusted: they hold on machines without namespaces, too."""


def develop(script: Script, rounds: int = 3) -> TeamResult:
    team = software_team(script.builder(SETTINGS), TeamLimits(rework_rounds=rounds))
    return team.run_sync(TASK)


def test_from_design_to_code_to_tests_that_are_run_to_review() -> None:
    script = Script({"architect": ["double(n)"], "developer": [GOOD], "tester": [TESTS], "reviewer": [APPROVED]})
    result = develop(script)
    assert result.outcome.succeeded
    assert [step.member or step.purpose for step in result.steps] == [
        "architect",
        "developer",
        "tester",
        "run the tests",
        "reviewer",
    ]
    assert result.steps[3].data["counts"] == {"passed": 1, "failed": 0, "errors": 0, "skipped": 0}
    assert set(result.outcome.files) == {"double.py", "test_double.py"}
    assert "double(n)" in script.asked("developer")[0]
    assert "return 2 * n" in script.asked("tester")[0]
    assert "1 passed" in script.asked("reviewer")[0]
    assert "VERDICT: APPROVE" in markdown(result)


def test_code_that_fails_its_tests_goes_back_to_the_developer_with_what_pytest_said() -> None:
    script = Script({"architect": ["."], "developer": [WRONG, GOOD], "tester": [TESTS], "reviewer": [APPROVED]})
    result = develop(script)
    assert result.outcome.succeeded
    assert "assert 5 == 6" in script.asked("developer")[1]
    assert result.outcome.summary == "the tests pass; the reviewer approves; 1 of 3 rounds of rework were used"


def test_tests_that_cannot_be_run_go_back_to_the_tester() -> None:
    broken = "```python\n# file: test_double.py\nfrom double import double\ndef test_three(:\n```"
    script = Script({"architect": ["."], "developer": [GOOD], "tester": [broken, TESTS], "reviewer": [APPROVED]})
    assert develop(script).outcome.succeeded
    assert "syntax error in test_double.py, line 3" in script.asked("tester")[1]
    assert len(script.asked("developer")) == 1


def test_tests_that_test_nothing_of_the_code_do_not_count() -> None:
    idle = "```python\n# file: test_double.py\ndef test_nothing():\n    assert True\n```"
    script = Script({"architect": ["."], "developer": [GOOD], "tester": [idle], "reviewer": [APPROVED]})
    result = develop(script, rounds=1)
    assert not result.outcome.succeeded
    assert "the tests import none of the code's modules (double)" in script.asked("tester")[1]


def test_rework_ends_when_the_rounds_are_used_up() -> None:
    script = Script({"architect": ["."], "developer": [WRONG], "tester": [TESTS], "reviewer": [APPROVED]})
    result = develop(script, rounds=2)
    assert not result.outcome.succeeded, "an approval does not make up for tests that fail"
    assert result.outcome.summary.startswith("the tests do not pass")
    assert [step.purpose for step in result.steps].count("run the tests") == 3
    assert len(script.asked("developer")) + len(script.asked("tester")) == 4


def test_what_the_reviewer_asks_for_is_done_and_tested_again() -> None:
    script = Script(
        {
            "architect": ["."],
            "developer": [GOOD.replace("int", "float"), GOOD],
            "tester": [TESTS],
            "reviewer": ["It should take whole numbers.\nVERDICT: REWORK", APPROVED],
        }
    )
    result = develop(script)
    assert "It should take whole numbers." in script.asked("developer")[1]
    assert [step.purpose for step in result.steps].count("run the tests") == 2
    assert result.outcome.succeeded


def test_the_developer_cannot_change_the_tests_nor_the_tester_the_code() -> None:
    script = Script(
        {
            "architect": ["."],
            "developer": [f"{GOOD}\n```python\n# file: test_double.py\ndef test_it(): pass\n```"],
            "tester": [f"{TESTS}\n```python\n# file: double.py\ndouble = None\n```"],
            "reviewer": [APPROVED],
        }
    )
    result = develop(script)
    assert "return 2 * n" in result.outcome.files["double.py"]
    assert "double(3) == 6" in result.outcome.files["test_double.py"]


def test_a_model_that_writes_no_code_at_all_ends_as_a_failure_and_not_as_a_crash() -> None:
    script = Script({"architect": ["hm"], "developer": ["hm"], "tester": ["hm"], "reviewer": ["hm"]})
    result = develop(script, rounds=1)
    assert not result.outcome.succeeded
    assert result.outcome.files == {}


def test_both_systems_are_found_by_name() -> None:
    script = Script({})
    assert list(team_named("software_development", script.builder(SETTINGS)).members) == [
        "architect",
        "developer",
        "tester",
        "reviewer",
    ]
    assert software_flow.__module__.endswith("teams.software")
