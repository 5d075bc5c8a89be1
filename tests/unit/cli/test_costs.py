"""costs: from files and from a router, in every form."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path

import httpx
import pytest

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.charges import Charge
from agent_runtime.router.money.opening import make_purse
from cli.commands import costs
from cli.main import main
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a router that has answered three requests."""

    async def spend() -> None:
        purse = make_purse(tmp_path)
        await purse.open()
        for key in ("alice", "alice", "bob"):
            purse.settle(None, Charge(key, "local", "assistant", Usage(100, 50), 0.2))
        await purse.close()

    asyncio.run(spend())
    return tmp_path


def paddock(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["paddock", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(stack: str) -> None:
        raise BadInputError(f"stack {stack!r} is not up")

    monkeypatch.setattr(costs, "read_contract", read)


def test_a_table(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "costs", "--data", str(data), "--by", "key") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2][:6] == ["alice", "2", "0.0", "%", "200", "100"]
    assert lines[3][:2] == ["bob", "1"]
    assert lines[4][:2] == ["total", "3"]


def test_json_is_the_report(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "costs", "--data", str(data), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["total"]["requests"] == 3
    assert [group["model"] for group in report["byModel"]] == ["assistant"]


def test_comma_separated(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert paddock(monkeypatch, "costs", "--data", str(data), "--by", "key", "--csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["key"], row["completionTokens"]) for row in rows] == [("alice", "100"), ("bob", "50")]


def test_a_page_beside_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "costs.html"
    assert paddock(monkeypatch, "costs", "--data", str(data), "--report", str(page), "--json") == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "is no day"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "comes after"),
        (["--csv", "--json"], "two forms"),
        (["--data", ".", "--router", "http://127.0.0.1:1"], "two sources"),
        (["--router", "127.0.0.1:8080"], "is no address"),
        (["--data", "/nowhere"], "there is no ledger"),
        (["--by", "mood"], "mood"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paddock(monkeypatch, "costs", *arguments) == 2
    said = capsys.readouterr()
    assert message in said.out + said.err


PERIOD = costs.Period("2026-11-01", "2026-11-23")


def asking(response: httpx.Response, asked: list[httpx.Request] | None = None) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return response

    return httpx.MockTransport(handle)


def test_a_router_is_asked_with_a_key() -> None:
    asked: list[httpx.Request] = []
    report = costs.ask_router("http://router:81/v1/", "k", PERIOD, asking(httpx.Response(200, json={"a": 1}), asked))
    assert report == {"a": 1}
    assert str(asked[0].url) == "http://router:81/api/paddock/costs?from=2026-11-01&to=2026-11-23"
    assert asked[0].headers["Authorization"] == "Bearer k"


@pytest.mark.parametrize("status", [401, 403])
def test_a_router_that_wants_another_key(status: int) -> None:
    with pytest.raises(BadInputError, match="PADDOCK_API_KEY"):
        costs.ask_router("http://router", None, PERIOD, asking(httpx.Response(status)))


@pytest.mark.parametrize("response", [httpx.Response(500, text="no"), httpx.Response(200, text="<html>")])
def test_a_router_that_fails(response: httpx.Response) -> None:
    with pytest.raises(costs.CostsUnavailableError, match="router"):
        costs.ask_router("http://router", None, PERIOD, asking(response))
