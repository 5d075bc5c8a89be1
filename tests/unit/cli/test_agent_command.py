"""paddock agent, agent eval, models pull and remove: the command line as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.fleet import Fleet
from cli import main as command
from cli.commands import agent as agent_command
from cli.commands import pull as pull_command
from fleet_spec.contract import FleetContract
from tests.scripted_model import Reply, ScriptedServer, scripted_server
from tests.scripted_ollama import ScriptedOllama, scripted_ollama


def paddock(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["paddock", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    script = [Reply(calls=[("calculation", {"expression": "17*3"})]), "It is 51."]
    with scripted_server(script) as running:
        yield running


@pytest.fixture(autouse=True)
def stack(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stack is the scripted server, and the project a folder of the test's own."""

    def fleet_of(name: str) -> Fleet:
        return server.fleet()

    monkeypatch.setattr(agent_command, "fleet_of", fleet_of)
    (tmp_path / "Pulumi.yaml").write_text("name: x\n")
    (tmp_path / "__main__.py").write_text("")
    monkeypatch.chdir(tmp_path)


def test_an_agent_answers_on_stdout_and_tells_its_work_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paddock(monkeypatch, "agent", "What is 17 times 3?", "--tool", "calculation") == 0
    said = capsys.readouterr()
    assert said.out == "It is 51.\n"
    assert "calculation(expression='17*3')" in said.err


def test_an_agents_run_as_json_is_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paddock(monkeypatch, "agent", "What is 17 times 3?", "--tool", "calculation", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == "It is 51."
    assert document["transcript"][2]["role"] == "tool"


def test_a_session_is_kept_in_the_stacks_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, server: ScriptedServer
) -> None:
    for question in ("First?", "Second?"):
        assert paddock(monkeypatch, "agent", question, "--session", "mine", "--tool", "calculation") == 0
    assert (tmp_path / ".paddock" / "dev" / "sessions.sqlite").is_file()
    sent = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "user"]
    assert sent == ["First?", "Second?"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["What?", "--tool", "teleport"], "there is no tool 'teleport'"),
        (["What?", "--model", "gpt"], "no model 'gpt'"),
        (["What?", "--mcp", "serve 'x"], "is no command line"),
        ([" "], "prompt is empty"),
    ],
)
def test_what_cannot_be_done_exits_with_2(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paddock(monkeypatch, "agent", *arguments) == 2
    assert told in capsys.readouterr().err


def test_an_endless_loop_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "agent", "Go.", "--tool", "calculation", "--max-steps", "1") == 1
    assert "limit of 1 steps" in capsys.readouterr().err


def test_a_run_that_is_stopped_leaves_its_transcript(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("agent", "Go.", "--tool", "calculation", "--max-steps", "1", "--transcript", "kept/run.md", "--json")
    assert paddock(monkeypatch, *asked) == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert "limit of 1 steps" in said["message"]
    assert said["transcript"][0] == {"role": "user", "content": "Go."}
    kept = (tmp_path / "kept" / "run.md").read_text()
    assert "## 1. user\n\n```\nGo.\n```" in kept
    assert 'Called `calculation` with `{"expression": "17*3"}`' in kept


def test_each_step_says_whom_it_asks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "agent", "What is 17 times 3?", "--tool", "calculation") == 0
    told = capsys.readouterr().err
    assert "1. asking default (llama3.1:8b) ..." in told
    assert "2. asking default (llama3.1:8b) ..." in told
    assert "(2 steps, " in told


def test_a_reply_that_is_cut_off_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_server([Reply("Once upon a", finish="length")]) as talking:

        def fleet_of(name: str) -> Fleet:
            return talking.fleet()

        monkeypatch.setattr(agent_command, "fleet_of", fleet_of)
        assert paddock(monkeypatch, "agent", "Tell a story.", "--max-tokens", "3") == 0
    said = capsys.readouterr()
    assert said.out == "Once upon a\n"
    assert "cut off at its longest; --max-tokens allows more" in said.err
    sent = talking.requests[0]
    assert 3 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def test_each_score_is_told_with_its_reason_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paddock(monkeypatch, "agent", "eval") == 0
    said = capsys.readouterr()
    assert "[1/10] assistant: add (arithmetic): failed: " in said.err
    assert "the answer does not say 7615" in said.err
    assert said.out.startswith("model      arithmetic")


def test_a_server_that_never_answers_gives_no_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted_server([Reply(status=400, error="out of order")]) as broken:

        def fleet_of(name: str) -> Fleet:
            return broken.fleet()

        monkeypatch.setattr(agent_command, "fleet_of", fleet_of)
        assert paddock(monkeypatch, "agent", "eval", "--json") == 1
    said = capsys.readouterr()
    assert not any(task["answered"] for task in json.loads(said.out)["models"][0]["tasks"])
    assert "assistant never answered" in said.err


def test_models_are_scored(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "agent", "eval", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [model["model"] for model in document["models"]] == ["assistant"]
    assert document["models"][0]["tasks"]


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedOllama]:
    with scripted_ollama({"mine:1b"}) as running:
        url = running.url
        document = {
            "version": 1,
            "stack": "dev",
            "target": "local",
            "router": {"url": url, "openai": url, "ollama": url, "metrics": url},
            "models": {
                "mine": {"model": "mine:1b", "engine": "ollama", "contextLength": 512, "endpoints": [{"url": url}]}
            },
        }
        monkeypatch.setattr(pull_command, "read_contract", lambda stack: FleetContract.from_mapping(document))
        yield running


def test_a_model_is_pulled_and_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ollama: ScriptedOllama
) -> None:
    assert paddock(monkeypatch, "models", "pull", "other:1b", "--json") == 0
    pulled = json.loads(capsys.readouterr().out)["pulled"]
    assert pulled == [{"url": ollama.url, "model": "other:1b", "sizeBytes": 5 * 2**20}]
    assert paddock(monkeypatch, "models", "remove", "other:1b") == 0
    assert "holds other:1b no more" in capsys.readouterr().out
    assert paddock(monkeypatch, "models", "remove", "other:1b") == 1
    assert ollama.held == {"mine:1b"}


def test_a_model_that_the_stack_serves_is_not_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ollama: ScriptedOllama
) -> None:
    assert paddock(monkeypatch, "models", "remove", "mine:1b") == 2
    assert "serves mine:1b as mine" in capsys.readouterr().err
    assert ollama.held == {"mine:1b"}
