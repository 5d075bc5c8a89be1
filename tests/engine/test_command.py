"""The command on a fleet that is up: what it prints, in a pipe and as JSON, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import httpx
import openai
import pytest

from fleet_spec.contract import FleetContract
from tests.engine.checkout import Checkout, wait_until
from tests.ports import free_port
from tests.programs import ollama_binary

pytestmark = pytest.mark.engine
QUESTION = "What is the capital of Japan?"


def test_up_again_says_where_everything_is_and_what_to_type_next(running: Checkout) -> None:
    said = running.paddock("up", "--yes")
    assert "nothing changed" in said.stderr
    for told in ("assistant", "gemma3:270m", "llamacpp", "/v1", "/metrics", "Tokyo", "paddock ask"):
        assert told in said.stdout
    assert "\x1b" not in said.stdout + said.stderr  # no colours in a pipe


def test_outputs_are_the_contract(running: Checkout) -> None:
    plain = running.paddock("outputs").stdout
    assert FleetContract.parse(plain).models["assistant"].model == "gemma3:270m"
    assert json.loads(plain) == running.json("outputs")
    everything = running.json("outputs", "--all")
    assert set(everything) == {"fleet", "fleetSecrets"}
    assert everything["fleetSecrets"] == "[secret]"


def test_a_question_is_answered_as_text_and_as_json(running: Checkout) -> None:
    assert running.paddock("ask", QUESTION).stdout == "Tokyo.\n"
    document = running.json("ask", QUESTION, "--model", "assistant")
    assert document["text"].strip() == "Tokyo."
    assert document["promptTokens"] > 0
    assert document["finishReason"] == "stop"


def test_a_question_comes_from_standard_input_too(running: Checkout) -> None:
    assert running.paddock("ask", "-", stdin=QUESTION).stdout == "Tokyo.\n"
    assert "empty" in running.paddock("ask", "-", exit_code=2, stdin=" \n").stderr


def test_an_unknown_model_is_refused_with_those_there_are(running: Checkout) -> None:
    refused = running.paddock("ask", QUESTION, "--model", "gpt-9", exit_code=2)
    assert "gpt-9" in refused.stderr
    assert "assistant" in refused.stderr
    assert "error" in running.json("ask", QUESTION, "--model", "gpt-9", exit_code=2)


def test_a_conversation_remembers_and_ends_with_the_input(running: Checkout) -> None:
    # The likeliest words, since a small model's luck is no test.
    said = running.paddock("chat", "--temperature", "0", stdin=f"{QUESTION}\nWho wrote Hamlet?\n")
    first, second = said.stdout.splitlines()[:2]
    assert "Tokyo" in first
    assert "Shakespeare" in second
    assert "talking to default" in said.stderr


def test_status_tells_every_process_and_endpoint(running: Checkout) -> None:
    said = running.paddock("status").stdout
    for told in ("router", "assistant-0", "up", "running", "MiB"):
        assert told in said
    document = running.json("status")
    assert document["healthy"] is True
    assert {process["name"] for process in document["processes"]} == {"router", "assistant-0"}


def test_doctor_finds_the_machine_fit(running: Checkout) -> None:
    document = running.json("doctor")
    assert document["ready"] is True
    found = {finding["what"]: finding["state"] for finding in document["findings"]}
    assert found["pulumi engine"] == found["llama.cpp"] == found["stack dev"] == "ok"
    assert "pulumi engine" in running.paddock("doctor").stdout


def test_doctor_names_what_a_broken_stack_lacks(running: Checkout) -> None:
    (running.directory / "Pulumi.broken.yaml").write_text("config:\n  paddock:models:\n    a: gemma3:270n\n")
    document = running.json("doctor", "--stack", "broken", exit_code=1)
    missing = [finding for finding in document["findings"] if finding["state"] == "missing"]
    assert [finding["what"] for finding in missing] == ["models.a.model"]
    assert "gemma3:270m" in missing[0]["fix"]


def test_the_router_runs_by_hand_from_a_contract_file(running: Checkout, tmp_path: Path) -> None:
    contract = tmp_path / "fleet.json"
    contract.write_text(running.paddock("outputs").stdout)
    port = free_port()
    process = running.start("router", "serve", "--fleet", str(contract), "--port", str(port))
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/readyz"))
        models = httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]
        assert "default" in {model["id"] for model in models}
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("contract", "told"),
    [
        ('{"version": 2}', "version 2"),
        ("{", "not JSON"),
        ('{"version": 1, "stack": "dev"}', "router"),
    ],
)
def test_the_router_refuses_a_contract_that_it_cannot_read(
    running: Checkout, tmp_path: Path, contract: str, told: str
) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(contract)
    refused = running.paddock("router", "serve", "--fleet", str(path), exit_code=2)
    assert str(path) in refused.stderr
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_bad_flags_are_the_askers_mistake(running: Checkout) -> None:
    assert "--nonsense" in running.paddock("up", "--nonsense", exit_code=2).stderr
    assert "nonsense" in running.paddock("nonsense", exit_code=2).stderr
    both = ("router", "serve", "--fleet", "x.json", "--stack", "dev")
    assert "--stack" in running.paddock(*both, exit_code=2).stderr


def test_a_pipe_that_is_closed_early_is_no_crash(running: Checkout) -> None:
    process = running.start("outputs")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.wait(60)
    assert "Traceback" not in errors
    assert process.stdin is not None
    process.stdin.close()
    process.stderr.close()


def test_engine_tells_where_it_is(running: Checkout) -> None:
    path = Path(running.json("engine")["path"])
    assert subprocess.run([path, "version"], capture_output=True, check=True).stdout


def test_the_ollama_command_line_works_on_the_router_unmodified(running: Checkout, tmp_path: Path) -> None:
    environment = {**running.environment, "OLLAMA_HOST": running.json("outputs")["router"]["ollama"]}
    environment |= {"HOME": str(tmp_path)}

    def ollama(*arguments: str) -> str:
        command = [str(ollama_binary()), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ollama("run", "default", QUESTION).strip()  # with the model's own temperature, so what it says varies
    listed = ollama("list")
    assert "assistant" in listed
    assert "default" in listed
    assert "gemma3" in ollama("show", "assistant")
    assert "assistant" in ollama("ps")


def test_the_readmes_openai_example_works(running: Checkout) -> None:
    client = openai.OpenAI(base_url=running.json("outputs")["router"]["openai"], api_key="none")
    with client:
        reply = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": QUESTION}], temperature=0
        )
    assert "Tokyo" in str(reply.choices[0].message.content)
