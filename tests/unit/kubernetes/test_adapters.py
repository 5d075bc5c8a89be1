"""Adapters on vLLM in a cluster: fetched with their base, served by their names, models of the contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.engines.vllm import adapter_arguments
from components.kubernetes.contract import build_contract
from components.kubernetes.manifests.engines import ENGINES
from fleet_spec.contract import FleetContract
from fleet_spec.model_spec import AdapterSpec
from tests.unit.kubernetes.configurations import planned, with_gpu
from tests.unit.kubernetes.test_scripts import FAKE_HUB

pytestmark = pytest.mark.unit
ADAPTERS = {"law": "me/law-lora", "medicine": {"source": "me/medicine-lora", "rank": 24}}


def config(**changes: Any) -> dict[str, Any]:
    return with_gpu({}, {"engine": "vllm", "adapters": ADAPTERS, **changes})


def test_the_server_serves_each_adapter_by_its_name() -> None:
    (model,) = (fleet := planned(config())).models
    command = ENGINES["vllm"].command(model)
    place = command.index("--enable-lora")
    assert command[place : place + 8] == [
        "--enable-lora",
        *("--max-loras", "2"),
        *("--max-lora-rank", "32"),
        *("--lora-modules", "law=me/law-lora", "medicine=me/medicine-lora"),
    ]
    for loading in (ENGINES["vllm"].loading(fleet, model), ENGINES["vllm"].waiting(fleet, model)):
        assert loading.environment["PADDOCK_ADAPTERS"] == "me/law-lora me/medicine-lora"


def test_adapters_are_models_of_the_contract_at_their_bases_address() -> None:
    contract = build_contract(planned(config()))
    assert FleetContract.parse(contract.to_json()) == contract
    base, law = contract.models["llama"], contract.models["law"]
    assert (law.model, law.adapter_of, law.lora) == ("law", "llama", ())
    assert law.endpoints == base.endpoints
    assert set(contract.models) == {"llama", "law", "medicine"}


def test_other_adapters_are_another_generation_and_a_scale_is_not() -> None:
    def generation(**changes: Any) -> str:
        return planned(config(**changes)).models[0].generation

    assert len({generation(), generation(adapters={}), generation(adapters={"law": "me/law-lora"})}) == 3
    ranked = {**ADAPTERS, "law": {"source": "me/law-lora", "rank": 8}}
    assert generation(adapters=ranked) == generation()


def test_without_adapters_nothing_is_said_of_them() -> None:
    (model,) = (fleet := planned(config(adapters={}))).models
    assert not any("lora" in word for word in ENGINES["vllm"].command(model))
    assert "PADDOCK_ADAPTERS" not in ENGINES["vllm"].loading(fleet, model).environment


def test_what_is_baked_into_an_image_is_served_from_its_folder() -> None:
    baked = {"law": "/models/law"}
    raw = with_gpu(
        {},
        {"engine": "vllm", "adapters": baked, "storage": {"mode": "image", "image": "weights/llama:1"}},
        kubernetes={"version": "1.36"},
    )
    (model,) = planned(raw).models
    assert "law=/models/law" in ENGINES["vllm"].command(model)


@pytest.mark.parametrize(("rank", "room"), [(None, "16"), (4, "8"), (65, "128"), (512, "512")])
def test_room_is_kept_for_the_next_rank_that_vllm_knows(rank: int | None, room: str) -> None:
    said = {"law": AdapterSpec.model_validate({"source": "a/b", "rank": rank})}
    arguments = adapter_arguments(said)
    assert arguments[arguments.index("--max-lora-rank") + 1] == room


def test_adapters_are_fetched_after_their_base_and_waited_for_with_it(tmp_path: Path) -> None:
    (tmp_path / "huggingface_hub.py").write_text(FAKE_HUB, encoding="utf-8")
    (model,) = (fleet := planned(config())).models
    environment = {"CALLS": str(tmp_path / "calls"), "PYTHONPATH": str(tmp_path)}

    def run(command: list[str], variables: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        script = command[-1].replace("/models/", f"{tmp_path}/")
        told = {**environment, **{name: value for name, value in variables.items() if name.startswith("PADDOCK_")}}
        told["PADDOCK_WAIT_SECONDS"] = "1"  # it looks once
        return subprocess.run(
            [sys.executable, "-c", script], env=told, capture_output=True, text=True, timeout=60, check=False
        )

    loading, waiting = ENGINES["vllm"].loading(fleet, model), ENGINES["vllm"].waiting(fleet, model)
    done = run(loading.command, loading.environment)
    assert done.returncode == 0, done.stderr
    kept = [line for line in done.stdout.splitlines() if line.endswith("is in the store, checked")]
    assert [line.split()[1] for line in kept] == [model.source, "me/law-lora", "me/medicine-lora"]
    assert "adapter_config.json" in (tmp_path / "calls").read_text().split()
    assert run(waiting.command, waiting.environment).returncode == 0
