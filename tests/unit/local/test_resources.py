"""What a program writes reaches the provider under the names that it checks."""

import pulumi
import pytest

from components.local.provider import file, ollama_model, process, random_key, weights
from components.local.resources import File, OllamaModel, Process, Weights
from components.random_key import RandomKey
from tests.mock_engine import run_program

pytestmark = pytest.mark.unit


def test_a_process_is_registered_under_the_names_the_provider_knows():
    def program() -> None:
        one = Process(
            "assistant-0",
            name="assistant-0",
            directory="/d",
            command=["program", "{port}"],
            environment={"OLLAMA_HOST": "127.0.0.1:{port}"},
            host="127.0.0.1",
            port=0,
            port_range_start=18100,
            port_range_end=18999,
            port_key="models.assistant.port",
            health_path="/health",
            start_timeout_seconds=300,
            stop_timeout_seconds=10,
            restart_key="1",
        )
        pulumi.export("url", one.url)
        pulumi.export("port", one.port)

    run = run_program(program)
    inputs = run.of_type("paddock:local:Process")["assistant-0"].inputs

    assert set(inputs) == set(process.FIELDS)
    assert inputs["environment"] == {"OLLAMA_HOST": "127.0.0.1:{port}"}
    assert run.outputs["url"] == "http://127.0.0.1:18100"
    assert run.outputs["port"] == 18100
    assert type(run.outputs["port"]) is int


def test_so_are_the_others():
    def program() -> None:
        Weights("w", file_name="a", sha256="b", size_bytes=1, package_module="c", path="d", install_hint="e")
        File("f", path="/a", content="b", mode="0644", directory_mode="0700")
        RandomKey("k", generation=2)
        OllamaModel(
            "m",
            server_url="a",
            model="b",
            pull_tag="c",
            from_file="d",
            from_file_sha256="e",
            template="f",
            stop=["g"],
            parameters={"num_ctx": 1},
            base="h",
            base_digest="i",
            adapter_file="/j",
            adapter_sha256="k",
            warm=True,
        )

    registered = {resource.type: set(resource.inputs) for resource in run_program(program).resources}

    assert registered["paddock:local:Weights"] == set(weights.FIELDS)
    assert registered["paddock:local:File"] == set(file.FIELDS)
    assert registered["paddock:keys:RandomKey"] == set(random_key.FIELDS)
    assert registered["paddock:local:OllamaModel"] == set(ollama_model.FIELDS)
