"""The contract's file is followed, and a bad one is told from a good one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_runtime.discovery import ContractFile
from fleet_spec.errors import BadInputError, ContractError
from tests.unit.router.rig import contract

pytestmark = pytest.mark.unit


def write(path: Path, **models: dict[str, object]) -> None:
    path.write_text(json.dumps(contract({name: dict(model) for name, model in models.items()})))


def test_a_contract_is_read_and_then_read_again_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    write(path, a={})
    source = ContractFile(path)
    assert list(source.load().models) == ["a"]
    assert source.poll() is None
    fresh = tmp_path / "fresh.json"
    write(fresh, b={})
    fresh.replace(path)
    change = source.poll()
    assert change is not None
    assert change.contract is not None
    assert list(change.contract.models) == ["b"]
    assert source.poll() is None


def test_a_file_that_is_not_there_at_the_start_is_a_mistake_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no contract at .*fleet\.json.*paddock up"):
        ContractFile(tmp_path / "fleet.json").load()


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ('{"version": 2}', "version 2")])
def test_a_contract_that_cannot_be_read_at_the_start_is_a_mistake(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(text)
    with pytest.raises(ContractError, match=message):
        ContractFile(path).load()


def test_a_bad_file_is_told_once_and_a_good_one_after_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    write(path, a={})
    source = ContractFile(path)
    source.load()
    path.write_text('{"version": 2}')
    change = source.poll()
    assert change is not None
    assert change.contract is None
    assert "version 2" in str(change.problem)
    assert source.poll() is None
    path.unlink()
    gone = source.poll()
    assert gone is not None
    assert "cannot read the contract" in str(gone.problem)
    assert source.poll() is None
    write(path, b={})
    back = source.poll()
    assert back is not None
    assert back.contract is not None
