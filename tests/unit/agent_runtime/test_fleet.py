"""A fleet is found through its contract, asked by name, capability or use case, and followed when it changes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.finding import find_source
from agent_runtime.fleet import Fleet
from agent_runtime.fleet_models import NoSuchModelError
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, ContractError

VARIABLES = (
    "PADDOCK_FLEET",
    "PADDOCK_FLEET_CONTRACT",
    "PADDOCK_STACK",
    "PADDOCK_API_KEY",
    "PADDOCK_API_KEY_FILE",
    "PADDOCK_ROUTER_URL",
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def contract(**changes: Any) -> dict[str, Any]:
    root = "http://127.0.0.1:8080"
    models = {
        "small": {"model": "gemma3:270m", "engine": "llamacpp", "contextLength": 2048, "capabilities": ["chat"]},
        "coder": {
            "model": "codellama:13b",
            "engine": "ollama",
            "contextLength": 4096,
            "capabilities": ["chat", "code"],
            "endpoints": [{"url": "http://127.0.0.1:18102"}],
        },
        "big": {"model": "llama3.1:8b", "engine": "ollama", "contextLength": 8192, "capabilities": ["chat", "tools"]},
        "vectors": {
            "model": "nomic-embed-text",
            "engine": "ollama",
            "contextLength": 2048,
            "capabilities": ["embedding"],
        },
    }
    document: dict[str, Any] = {
        "version": 1,
        "stack": "test",
        "target": "local",
        "router": {"url": root, "openai": f"{root}/v1", "ollama": root, "metrics": f"{root}/metrics"},
        "models": models,
        "aliases": {"default": {"small": 0.5, "big": 0.5}},
    }
    return {**document, **changes}


def fleet(**changes: Any) -> Fleet:
    return Fleet(FleetContract.from_mapping(contract(**changes)))


def test_a_model_is_asked_for_by_name_alias_capability_or_use_case() -> None:
    known = fleet()
    assert known.model("coder").model == "codellama:13b"
    assert known.model("llama3.1:8b").name == "big"
    assert known.model(capability="embedding").name == "vectors"
    assert known.model(use_case="code").name == "coder"
    assert known.model(capability="chat").name == "coder"
    assert known.model().name == "default"


def test_an_alias_promises_what_all_its_models_can_do() -> None:
    found = fleet().model("default")
    assert (found.context_length, found.capabilities) == (2048, ("chat",))


def test_what_the_fleet_has_not_is_an_error_that_says_what_it_has() -> None:
    with pytest.raises(NoSuchModelError, match="one of small, coder, big, vectors, default"):
        fleet().model("gpt")
    with pytest.raises(NoSuchModelError, match=r"no model of capability 'vision'.*vectors \(nomic-embed-text\)"):
        fleet().model(capability="vision")
    with pytest.raises(BadInputError, match="use case 'poetry'"):
        fleet().model(use_case="poetry")


def test_a_changing_contract_is_followed_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(contract()))
    known = Fleet.from_file(path)
    assert known.names == ["small", "coder", "big", "vectors", "default"]
    other = contract(aliases={"fast": {"small": 1.0}})
    (tmp_path / "new").write_text(json.dumps(other))
    (tmp_path / "new").replace(path)
    assert known.model("fast").model == "gemma3:270m"
    path.write_text("{ not json")
    assert known.model("fast").model == "gemma3:270m"
    assert "is not JSON" in (known.problem or "")


def test_the_environment_names_the_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(contract()))
    with pytest.raises(BadInputError, match="no fleet is named"):
        Fleet.from_env()
    monkeypatch.setenv("PADDOCK_FLEET", str(path))
    assert Fleet.from_env().contract.stack == "test"
    monkeypatch.setenv("PADDOCK_FLEET_CONTRACT", json.dumps(contract(stack="other")))
    assert Fleet.from_env().contract.stack == "other"
    monkeypatch.setenv("PADDOCK_FLEET_CONTRACT", "{}")
    with pytest.raises(ContractError, match="PADDOCK_FLEET_CONTRACT is of version None"):
        Fleet.from_env()


def test_a_pod_finds_the_contract_that_is_mounted(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(contract(target="kubernetes")))
    found = find_source(mounted=path)
    assert (found.path, found.inside_cluster) == (path, True)


def test_inside_a_cluster_and_outside_the_router_has_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    router = {**contract()["router"], "url": "http://router.llm.svc", "externalUrl": "https://llm.example.com"}
    document = FleetContract.from_mapping(contract(target="kubernetes", router=router))
    assert Fleet(document).url == "https://llm.example.com"
    assert Fleet(document, inside_cluster=True).url == "http://router.llm.svc"
    monkeypatch.setenv("PADDOCK_ROUTER_URL", "http://127.0.0.1:9/v1")
    assert Fleet(document).url == "http://127.0.0.1:9"


def test_a_local_stack_is_found_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: x\n")
    directory = tmp_path / ".paddock" / "dev"
    (directory / "secrets").mkdir(parents=True)
    (directory / "fleet.json").write_text(json.dumps(contract()))
    (directory / "secrets" / "default").write_text("secret-of-the-stack\n")
    below = tmp_path / "app"
    below.mkdir()
    known = Fleet.from_stack("dev", project=below)
    assert known.contract.stack == "test"
    assert known.api_key == "secret-of-the-stack"


def test_a_key_is_found_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = fleet()
    assert known.api_key is None
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    monkeypatch.setenv("PADDOCK_API_KEY_FILE", str(file))
    assert known.api_key == "from-a-file"
    monkeypatch.setenv("PADDOCK_API_KEY", "from-the-environment")
    assert known.api_key == "from-the-environment"
    given = Fleet(known.contract, api_key="given")
    assert given.api_key == "given"
    assert "given" not in repr(given) + str(given)
    monkeypatch.delenv("PADDOCK_API_KEY")
    monkeypatch.setenv("PADDOCK_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(BadInputError, match="where no file is"):
        _ = known.api_key


def test_ready_clients_point_at_the_router() -> None:
    async def work() -> None:
        known = Fleet(fleet().contract, api_key="shown")
        client = known.async_openai()
        assert (str(client.base_url), client.api_key) == ("http://127.0.0.1:8080/v1/", "shown")
        await client.close()
        async with known.async_ollama() as ollama:
            assert ollama.url == "http://127.0.0.1:8080"
        model = known.pydantic_ai_model("big")
        assert (model.model_name, model.context_window) == ("big", 8192)
        assert known.pydantic_ai_model("coder").client is model.client
        await known.aclose()

    asyncio.run(work())
    with fleet().openai() as client, fleet().ollama() as ollama:
        assert client.api_key == "none"
        assert ollama.url == "http://127.0.0.1:8080"


def test_a_models_own_server_is_known_where_it_can_be_reached() -> None:
    known = fleet()
    assert known.direct_url(known.model("coder")) == "http://127.0.0.1:18102"
    assert known.direct_url(known.model("big")) is None


def test_importing_the_package_loads_none_of_its_parts() -> None:
    code = (
        "import sys, agent_runtime, agent_runtime.agents; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'httpx', 'openai', 'ollama', 'pydantic', "
        "'pydantic_ai', 'pulumi', 'yaml', 'rich'}))"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert ran.stdout.strip() == "[]"


def test_a_stack_that_is_not_here_is_asked_for_by_the_command() -> None:
    with pytest.raises(BadInputError, match="stack 'nowhere' has no contract: there is no stack 'nowhere'"):
        Fleet.from_stack("nowhere", project=Path(__file__).parents[3])
