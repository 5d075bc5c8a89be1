"""`paddock plan`: what fits, what it costs, what breaks the rules and what changes, in four forms."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from cli.commands.plan import BlockedError, run
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, RouterAddresses
from fleet_spec.errors import BadInputError, SpecError
from fleet_spec.prices.table import load_price_table

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def fleet(**changes: Any) -> dict[str, Any]:
    return {
        "target": "kubernetes",
        "models": {"chat": {"model": "mistral:7b", "gpu": "nvidia-l4", "replicas": {"min": 1, "max": 3}}},
        "aliases": {"default": "chat"},
        "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 8, "maxNodes": 10}},
        "router": {"image": "registry.example.com/paddock:1.0.0"},
        "valkey": {"mode": "none"},
        "storage": {"mode": "perReplica", "size": "100Gi"},
        "prices": {
            "gpuHours": {"nvidia-l4": 1.0, "nvidia-t4": 0.5},
            "storageUsdPerGibMonth": 0.1,
            "cpuCoreUsdPerHour": 0,
            "memoryUsdPerGibHour": 0,
        },
        **changes,
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for file in ("Pulumi.yaml", "__main__.py"):
        (tmp_path / file).write_text("name: paddock\n" if file.endswith("yaml") else "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(directory: Path, name: str, config: dict[str, Any]) -> Path:
    file = directory / f"Pulumi.{name}.yaml"
    file.write_text(yaml.safe_dump({"config": {f"paddock:{key}": value for key, value in config.items()}}))
    return file


def planned(capsys: pytest.CaptureFixture[str], stack: str = "test", **options: Any) -> dict[str, Any]:
    """The plan as JSON, whether the stack may go up or not."""
    with contextlib.suppress(SystemExit):
        run(stack, as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_a_plan_tells_sizes_gpus_replicas_storage_and_cost(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "test", fleet())
    plan = planned(capsys)
    assert plan["ok"]
    (model,) = plan["models"]
    assert model["fits"] is True
    assert model["memory"]["totalBytes"] > 4 * 2**30
    assert model["gpus"] == {"least": 1, "most": 3}
    assert model["storageGib"] == {"least": 100, "most": 300}
    assert model["monthlyUsd"]["leastUsd"] == 730 + 10
    assert model["monthlyUsd"]["mostUsd"] == 3 * (730 + 10)
    assert model["monthlyUsd"]["expectedUsd"] is None
    assert plan["totals"]["mostUsd"] == 3 * 740
    assert model["tokensPerSecondPlanned"] == pytest.approx(model["tokensPerSecondBound"] / 2, rel=0.01)
    assert model["tokens"]["comparedWith"] == "gpt-4o-mini"


def test_the_fleets_own_parts_have_lines_of_their_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = {
        **fleet()["prices"],
        "cpuCoreUsdPerHour": 0.04,
        "memoryUsdPerGibHour": 0.01,
        "loadBalancerUsdPerHour": 0.02,
    }
    ingress = {"enabled": True, "host": "llm.example.com", "tlsSecret": "llm-tls"}
    write(project, "test", fleet(prices=prices, ingress=ingress, webUi={"enabled": True, "size": "10Gi"}))
    plan = planned(capsys)
    router, web_ui, balancer = plan["parts"]
    each = 730 * (0.5 * 0.04 + 0.25 * 0.01)
    assert router["monthlyUsd"]["leastUsd"] == pytest.approx(2 * each, abs=0.01)
    assert router["monthlyUsd"]["mostUsd"] == pytest.approx(4 * each, abs=0.01)
    assert web_ui["monthlyUsd"]["mostUsd"] == pytest.approx(730 * (0.25 * 0.04 + 0.01) + 10 * 0.1, abs=0.01)
    assert balancer["monthlyUsd"]["mostUsd"] == pytest.approx(730 * 0.02)
    taken = sum(part["monthlyUsd"]["mostUsd"] for part in plan["parts"])
    assert plan["totals"]["mostUsd"] == pytest.approx(3 * 740 + taken, abs=0.02)
    run("test", as_json=False)
    assert "router" in capsys.readouterr().out


def test_a_price_that_nobody_knows_is_never_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = {"provider": "lambda", "gpuHours": {"nvidia-l4": 1.0}}
    write(project, "test", fleet(prices=prices))
    assert planned(capsys)["totals"]["mostUsd"] is None
    run("test", as_json=False)
    said = capsys.readouterr().out
    assert (
        "router: no price is known of what it takes; set prices.cpuCoreUsdPerHour, prices.memoryUsdPerGibHour" in said
    )


def test_how_many_prices_are_not_confirmed_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = load_price_table().providers["azure"]
    assert table.cpus is not None
    write(project, "test", fleet(prices={"provider": "azure", "gpuHours": {"nvidia-l4": 1.0}}))
    prices = planned(capsys)["prices"]
    doubtful = [figure for figure in prices["figures"] if not figure["confirmed"]]
    expected = 2 * (not table.cpus.confirmed) + (not table.storage.confirmed)
    assert prices["unconfirmed"] == len(doubtful) == expected
    run("test", as_json=False)
    assert (f"{expected} of 4 prices are not confirmed" in capsys.readouterr().out) == (expected > 0)
    write(project, "test", fleet())
    run("test", as_json=False)
    assert "not confirmed" not in capsys.readouterr().out


def test_a_load_gives_the_expected_cost(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load = {"requestsPerHour": [0] * 12 + [7200] * 12, "tokensPerSecond": 100, "outputTokens": 100}
    write(project, "test", fleet(load=load))
    (model,) = planned(capsys)["models"]
    assert model["monthlyUsd"]["expectedUsd"] == pytest.approx(1.5 * 740)
    assert model["tokens"]["usdPerMillionExpected"] > 0


def test_what_does_not_fit_is_said_with_the_reason_and_the_rest_is_planned(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {**fleet()["models"], "huge": {"model": "llama3.1:70b", "gpu": "nvidia-l4"}}
    write(project, "test", fleet(models=models, aliases={"default": {"chat": 1, "huge": 1}, "big": "huge"}))
    plan = planned(capsys)
    assert not plan["ok"]
    chat, huge = plan["models"]
    assert chat["fits"] is True
    assert huge["fits"] is False
    assert "llama3.1:70b" in huge["problems"][0]["message"]
    assert huge["problems"][0]["fix"]
    assert huge["cheapest"]["count"] * huge["cheapest"]["usdPerHour"] > 0
    assert chat["cheapest"] is None
    with pytest.raises(BlockedError, match="huge will not fit"):
        run("test", as_json=False)
    said = capsys.readouterr().out
    assert "huge does not fit" in said
    assert "would hold it" in said


def test_a_local_model_is_held_against_this_machine(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "test", {"models": {"big": "llama3.1:70b"}})
    monkeypatch.setattr("cli.commands.plan._machine_memory_bytes", lambda: 8 * 2**30)
    plan = planned(capsys)
    assert plan["models"][0]["fits"] is False
    assert "of this machine's 8.0 GiB" in plan["models"][0]["reason"]
    monkeypatch.setattr("cli.commands.plan._machine_memory_bytes", lambda: 800 * 2**30)
    assert planned(capsys)["models"][0]["fits"] is True


def test_models_that_fit_this_machine_one_by_one_may_not_fit_together(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "test", {"models": {"one": "mistral:7b", "two": {"model": "mistral:7b", "replicas": 2}}})
    monkeypatch.setattr("cli.commands.plan._machine_memory_bytes", lambda: 12 * 2**30)
    assert [model["fits"] for model in planned(capsys)["models"]] == [False, False]
    monkeypatch.setattr("cli.commands.plan._machine_memory_bytes", lambda: 30 * 2**30)
    assert [model["fits"] for model in planned(capsys)["models"]] == [True, True]


def test_mistakes_of_the_config_are_told_as_everywhere(project: Path) -> None:
    write(project, "test", fleet(prices={"gpuHours": {"nvidia-l4": -1, "nvidia-l5": 1}}))
    with pytest.raises(SpecError) as caught:
        run("test", as_json=True)
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 2
    write(project, "test", fleet(router={}))
    with pytest.raises(SpecError, match=r"router\.image"):
        run("test", as_json=True)


def test_a_mandatory_rule_that_is_broken_keeps_the_stack_down(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "test", fleet(policies={"monthlyUsd": 100}))
    plan = planned(capsys)
    assert not plan["ok"]
    (finding,) = plan["findings"]
    assert (finding["rule"], finding["level"], finding["blocks"]) == ("monthly-cost", "mandatory", True)
    with pytest.raises(BlockedError, match="it breaks monthly-cost"):
        run("test", as_json=False)
    assert "why: " in capsys.readouterr().out
    write(project, "test", fleet(policies={"monthlyUsd": 100, "levels": {"monthly-cost": "advisory"}}))
    assert planned(capsys)["ok"]


def test_what_changes_against_another_stack(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "old", fleet())
    changed = {"model": "mistral:7b", "gpu": "nvidia-l4", "replicas": {"min": 1, "max": 2}, "contextLength": 4096}
    write(project, "test", fleet(models={"chat": changed, "code": {"model": "qwen2.5:7b", "gpu": "nvidia-l4"}}))
    against = planned(capsys, against="old")["against"]
    assert {change["name"]: change["kind"] for change in against["changes"]} == {"code": "added", "chat": "changed"}
    fields = next(change["fields"] for change in against["changes"] if change["name"] == "chat")
    assert fields["mostReplicas"] == {"before": 3, "after": 2}
    assert fields["contextLength"]["after"] == 4096
    assert against["differencesUsd"]["leastUsd"] == 740
    assert against["differencesUsd"]["mostUsd"] == 0


def test_what_changes_against_a_stacks_file_elsewhere(
    project: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(
        tmp_path_factory.mktemp("main"), "test", fleet(models={"gone": fleet()["models"]["chat"]}, aliases={})
    )
    write(project, "test", fleet())
    run("test", as_json=False, against=str(before))
    said = capsys.readouterr().out
    assert "chat: added" in said
    assert "gone: removed" in said


def running(**models: ModelEndpoints) -> FleetContract:
    """The contract of what runs."""
    return FleetContract(
        stack="test", target="kubernetes", router=RouterAddresses.at("http://router"), models=dict(models)
    )


def replicas(count: int, usd_per_hour: float | None, *, discover: bool = False) -> ModelEndpoints:
    endpoints = tuple(Endpoint(url=f"http://chat-{number}", discover=discover) for number in range(count))
    return ModelEndpoints(
        model="mistral:7b", engine="ollama", context_length=2048, endpoints=endpoints, usd_per_hour=usd_per_hour
    )


def test_what_changes_against_a_contract(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "contract.json"
    file.write_text(running(chat=replicas(1, None)).to_json())
    write(project, "test", fleet())
    against = planned(capsys, against=str(file))["against"]
    (change,) = against["changes"]
    assert change["fields"] == {"contextLength": {"before": 2048, "after": 8192}}
    assert against["differencesUsd"] == {}
    assert [line.partition(":")[0] for line in against["notCounted"]] == ["chat", "router"]


def test_a_contract_with_prices_gives_the_difference_of_what_it_tells(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "contract.json"
    contract = running(chat=replicas(2, 0.5), gone=replicas(1, 0.25), many=replicas(1, 9.0, discover=True))
    file.write_text(contract.to_json())
    many = {"model": "mistral:7b", "gpu": "nvidia-l4", "replicas": 5}
    write(project, "test", fleet(models={**fleet()["models"], "many": many}))
    against = planned(capsys, against=str(file))["against"]
    assert against["differencesUsd"] == {
        "leastUsd": pytest.approx(740 - (2 * 0.5 + 0.25) * 730),
        "mostUsd": pytest.approx(3 * 740 - (2 * 0.5 + 0.25) * 730),
    }
    assert [line.partition(":")[0] for line in against["notCounted"]] == ["many", "router"]
    page = project / "plan.html"
    run("test", as_json=False, against=str(file))
    run("test", as_json=False, against=str(file), as_markdown=True, page=page)
    said = capsys.readouterr().out
    assert said.count("not counted: many: the contract does not tell how many replicas run") == 2
    assert "not counted: many" in page.read_text()


def test_nothing_changes_against_itself(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "test", fleet())
    run("test", as_json=False, against="test")
    assert "no model changes" in capsys.readouterr().out


@pytest.mark.parametrize("against", ["none", "none.json", "Pulumi.none.yaml"])
def test_what_is_not_there_is_bad_input(project: Path, against: str) -> None:
    write(project, "test", fleet())
    with pytest.raises(BadInputError):
        run("test", as_json=True, against=against)


def test_markdown_holds_the_table_and_the_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "old", fleet())
    write(project, "test", fleet(policies={"monthlyUsd": 100}))
    with pytest.raises(BlockedError):
        run("test", as_json=False, as_markdown=True, against="old")
    said = capsys.readouterr().out
    assert said.startswith("### Plan of stack `test`: must not go up")
    assert "| chat | mistral:7b | yes |" in said
    assert "| monthly-cost | mandatory |" in said
    assert "a month costs +0 USD at least" in said


def test_the_page_is_whole_and_loads_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "test", fleet(policies={"licences": ["<b>"], "levels": {"model-licences": "advisory"}}))
    page = project / "plan.html"
    run("test", as_json=False, page=page)
    text = page.read_text()
    assert "<b>" not in text
    assert "://" not in text
    assert "<script" not in text
    for plot in text.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + plot.partition("</svg>")[0] + "</svg>")
    assert text.count("<svg") == 2


def test_what_must_not_go_up_ends_with_1_in_every_form(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "test", fleet(policies={"monthlyUsd": 100}))
    with pytest.raises(SystemExit) as ended:
        run("test", as_json=True)
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert BlockedError.exit_code == 1


def test_json_and_markdown_at_once_are_refused(project: Path) -> None:
    write(project, "test", fleet())
    with pytest.raises(BadInputError, match="--markdown"):
        run("test", as_json=True, as_markdown=True)


def test_the_shipped_stacks_may_go_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for stack in ("dev", "prod"):
        plan = planned(capsys, stack)
        assert plan["ok"], plan["findings"]
        assert all(model["fits"] for model in plan["models"])


def test_plan_and_manifests_agree_on_replicas_and_gpus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.kubernetes.configurations import manifests_of, of_kind, pod_templates, prod

    monkeypatch.chdir(ROOT)
    manifests = manifests_of(prod())
    scalers = of_kind(manifests, "HorizontalPodAutoscaler")
    for model in planned(capsys, "prod")["models"]:
        name = next(name for name in scalers if name.startswith(f"{model['name']}-"))
        replicas = scalers[name]["spec"]
        assert (replicas["minReplicas"], replicas["maxReplicas"]) == tuple(model["replicas"].values())
        asked = pod_templates(manifests)[name]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        assert int(asked) == model["gpusPerReplica"]
