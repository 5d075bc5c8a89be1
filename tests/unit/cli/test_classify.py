"""paddock classify: what the router would make of a prompt."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from fleet_spec.contract import FleetContract, ModelEndpoints, RouterAddresses, TierModels
from fleet_spec.governance_spec import PrivacySpec, RoutingSpec

pytestmark = pytest.mark.unit

COMPLEX = "Prove that there are infinitely many primes and justify each step."
ROUTINE = "What is the capital of Japan?"
PRIVATE = "My SSN is 536-90-4399."


class Result:
    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def classify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["paddock", "classify", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Result(ended.value.code, said.out, said.err)

    return run


def contract(directory: Path, **fields: Any) -> str:
    model = ModelEndpoints(model="m", engine="ollama", context_length=2048)
    made = FleetContract(
        stack="dev", target="local", router=RouterAddresses.at("http://127.0.0.1:8080"), models={"m": model}, **fields
    )
    path = directory / "fleet.json"
    path.write_text(made.to_json(), encoding="utf-8")
    return str(path)


OUTER = TierModels(models={"m": ModelEndpoints(model="big", engine="openai", tier="commercial", context_length=8192)})


def test_each_line_gets_a_line(classify: Any) -> None:
    lines = "\n".join(json.dumps({"prompt": prompt}) for prompt in (ROUTINE, COMPLEX, PRIVATE))
    result = classify(stdin=lines.encode())
    assert result.code == 0
    assert [(one["privacy"], one["complexity"], one["tier"]) for one in result.answers] == [
        ("public", "routine", "local"),
        ("public", "complex", "commercial"),
        ("private", "routine", "local"),
    ]
    assert result.answers[2]["reasons"][0] == "private: nationalId: a state's number for a person"
    assert all(list(one) == ["privacy", "complexity", "tier", "reasons"] for one in result.answers)


def test_bad_lines_are_told_with_their_numbers_and_the_good_ones_answered(classify: Any) -> None:
    stdin = b'{"prompt": "hi"}\n\nnonsense\n[1]\n{"text": "x"}\n{"prompt": 5}\n\xff\n' + b"[" * 100_000 + b"\n"
    result = classify(stdin=stdin + json.dumps({"prompt": PRIVATE}).encode())
    assert result.code == 2
    assert [one["privacy"] for one in result.answers] == ["public", "private"]
    told = result.err.splitlines()
    assert [line.split(":")[0] for line in told] == [f"line {number}" for number in (3, 4, 5, 6, 7, 8)]
    assert "is not JSON" in told[0]
    assert "a list, not an object" in told[1]
    assert "has no prompt" in told[2]
    assert "prompt must be text, not a number" in told[3]
    assert "UTF-8" in told[4]
    assert "Traceback" not in result.err


def test_whole_requests_of_either_dialect_can_be_given(classify: Any) -> None:
    call = {"function": {"name": "store", "arguments": '{"ssn": "536-90-4399"}'}}
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]
    picture = {"prompt": "What is this?", "images": ["AA=="]}
    result = classify(stdin="\n".join(map(json.dumps, [{"messages": turns}, picture, {"input": "green tea"}])).encode())
    assert [one["privacy"] for one in result.answers] == ["private", "private", "public"]


def test_prompts_can_be_arguments(classify: Any) -> None:
    result = classify(ROUTINE, PRIVATE)
    assert result.code == 0
    assert [one["privacy"] for one in result.answers] == ["public", "private"]


def test_json_gives_one_document(classify: Any) -> None:
    result = classify("--json", stdin=b'{"prompt": "hi"}\n?\n')
    assert result.code == 2
    document = json.loads(result.out)
    assert [one["line"] for one in document["answers"]] == [1]
    assert [one["line"] for one in document["mistakes"]] == [2]


def test_a_contract_says_which_tiers_there_are(classify: Any, tmp_path: Path) -> None:
    alone = contract(tmp_path)
    assert [one["tier"] for one in classify("--fleet", alone, COMPLEX).answers] == ["local"]
    both = contract(tmp_path, tiers={"commercial": OUTER})
    assert [one["tier"] for one in classify("--fleet", both, COMPLEX, ROUTINE, PRIVATE + COMPLEX).answers] == [
        "commercial",
        "local",
        "local",
    ]


def test_a_contract_says_the_order_and_the_rules(classify: Any, tmp_path: Path) -> None:
    path = contract(
        tmp_path,
        tiers={"commercial": OUTER},
        routing=RoutingSpec(routine=("commercial", "local")),
        privacy=PrivacySpec.model_validate({"patterns": {"project": "Bluebird"}}),
    )
    answers = classify("--fleet", path, ROUTINE, "Who is Bluebird?").answers
    assert [one["tier"] for one in answers] == ["commercial", "local"]
    assert "private: pattern project: found" in answers[1]["reasons"]


def test_what_no_tier_may_have_has_none(classify: Any, tmp_path: Path) -> None:
    path = contract(tmp_path, routing=RoutingSpec(complex=("commercial",)))
    (answer,) = classify("--fleet", path, COMPLEX).answers
    assert answer["tier"] is None
    assert "no tier of this contract may have it" in answer["reasons"]


def test_rules_that_cannot_be_used_are_refused(classify: Any, tmp_path: Path) -> None:
    path = contract(tmp_path, privacy=PrivacySpec.model_validate({"patterns": {"bad": "("}}))
    result = classify("--fleet", path, ROUTINE)
    assert result.code == 2
    assert "privacy.patterns.bad" in result.err
    assert classify("--fleet", str(tmp_path / "none.json"), ROUTINE).code == 2
    assert classify("--fleet", path, "--stack", "dev", ROUTINE).code == 2
