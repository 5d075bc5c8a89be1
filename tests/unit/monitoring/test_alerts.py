"""Alerts: what raises them and what does not, in simulated time; and that each has its section in the runbooks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from fleet_spec.loading import load_spec
from fleet_spec.monitoring.alerts import rule_file
from fleet_spec.monitoring.watched import Watched
from tests import programs
from tests.unit.kubernetes.configurations import manifests_of, of_kind, plans
from tests.unit.monitoring.served import named_in, served

pytestmark = pytest.mark.unit

HERE = 'stack="dev"'
TTFT = "paddock_time_to_first_token_seconds"


def rules(**config: Any) -> dict[str, Any]:
    spec = load_spec({"models": {"m": {"model": "gemma3:270m"}}, **config}, source="a test")
    return rule_file(Watched.stack(spec, "dev"))


def raised(tmp_path: Path, name: str, series: dict[str, str], *, after: str) -> bool:
    """Whether an alert fires at a time, by promtool, where series take these values minute by minute."""
    _, promtool = programs.prometheus_programs()
    # The one rule alone: promtool goes through every minute of all that there are.
    (group,) = rules()["groups"]
    alone = {**group, "rules": [rule for rule in group["rules"] if rule["alert"] == name]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [alone]}))
    case = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"eval_time": after, "alertname": name, "exp_alerts": []}],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or f"alertname: {name}" in said, said
    return done.returncode != 0


def answers(late_a_minute: int, *, minutes: int, before: int = 0) -> dict[str, str]:
    """Ten answers a minute, some of which begin after ten seconds, after a while in which none did."""
    of_m = f'{HERE},model="m"'
    in_time = f"0+10x{before} " if before else ""
    first = 10 * (before + 1) if before else 0
    return {
        f"{TTFT}_count{{{of_m}}}": f"0+10x{before + minutes + 1}",
        f'{TTFT}_bucket{{{of_m},le="10.0"}}': f"{in_time}{first}+{10 - late_a_minute}x{minutes}",
    }


def test_answers_that_begin_late_for_an_hour(tmp_path: Path) -> None:
    assert raised(tmp_path, "PaddockSlowFirstToken", answers(5, minutes=70), after="70m")


def test_one_answer_in_five_is_late_and_that_is_not_yet_worth_a_call(tmp_path: Path) -> None:
    assert not raised(tmp_path, "PaddockSlowFirstToken", answers(2, minutes=70), after="70m")


def test_ten_slow_minutes_in_a_good_hour(tmp_path: Path) -> None:
    assert not raised(tmp_path, "PaddockSlowFirstToken", answers(10, before=60, minutes=10), after="70m")


def test_a_slow_hour_that_is_over(tmp_path: Path) -> None:
    of_m = f'{HERE},model="m"'
    series = {
        f"{TTFT}_count{{{of_m}}}": "0+10x80",
        f'{TTFT}_bucket{{{of_m},le="10.0"}}': "0x60 10+10x20",
    }
    assert raised(tmp_path, "PaddockSlowFirstToken", series, after="60m")
    assert not raised(tmp_path, "PaddockSlowFirstToken", series, after="72m")


def test_a_charge_that_was_lost(tmp_path: Path) -> None:
    series = {f"paddock_ledger_lost_charges_total{{{HERE}}}": "0x10 1x120"}
    assert raised(tmp_path, "PaddockChargesLost", series, after="20m")
    assert not raised(tmp_path, "PaddockChargesLost", series, after="100m")


def test_a_forecast_beyond_the_budget_all_day(tmp_path: Path) -> None:
    series = {
        f'paddock_budget_usd{{{HERE},scope="fleet"}}': "1000x500",
        f'paddock_forecast_usd{{{HERE},scope="fleet"}}': "1200x500",
    }
    assert not raised(tmp_path, "PaddockBudgetForecast", series, after="5h")
    assert raised(tmp_path, "PaddockBudgetForecast", series, after="7h")


def test_a_budget_of_nothing_is_no_news(tmp_path: Path) -> None:
    series = {
        f'paddock_budget_usd{{{HERE},scope="tier:commercial"}}': "0x30",
        f'paddock_budget_remaining_usd{{{HERE},scope="tier:commercial"}}': "0x30",
    }
    assert not raised(tmp_path, "PaddockBudgetUsedUp", series, after="20m")


def test_an_event_loop_that_is_late(tmp_path: Path) -> None:
    bucket = f"paddock_event_loop_lag_seconds_bucket{{{HERE}"
    series = {
        f'{bucket},le="0.1"}}': "0+20x30",
        f'{bucket},le="0.25"}}': "0+120x30",
        f'{bucket},le="+Inf"}}': "0+120x30",
    }
    assert raised(tmp_path, "PaddockLoopSlow", series, after="20m")


def test_a_name_that_cannot_be_looked_up(tmp_path: Path) -> None:
    series = {f'paddock_name_lookup_failed{{{HERE},host="models.llm.svc",port="80"}}': "0x10 1x20"}
    assert not raised(tmp_path, "PaddockNameLookupFailed", series, after="10m")
    assert raised(tmp_path, "PaddockNameLookupFailed", series, after="20m")


def test_another_stack_s_trouble_is_none_of_ours(tmp_path: Path) -> None:
    series = {'paddock_ledger_up{stack="prod"}': "0x30", f"paddock_ledger_up{{{HERE}}}": "1x30"}
    assert not raised(tmp_path, "PaddockLedgerDown", series, after="20m")


def every_alert() -> list[dict[str, Any]]:
    """All alerts of a stack, and of every configuration for Kubernetes."""
    groups = [rules()["groups"]]
    for plan in plans().values():
        manifests = manifests_of(plan)
        groups += [one["spec"]["groups"] for one in of_kind(manifests, "PrometheusRule").values()]
        maps = of_kind(manifests, "ConfigMap")
        if "paddock-rules" in maps:
            groups.append(yaml.safe_load(maps["paddock-rules"]["data"]["paddock.yaml"])["groups"])
    return [rule for one in groups for group in one for rule in group["rules"] if "alert" in rule]


def test_every_alert_has_its_section_in_the_runbooks_and_every_section_its_alert() -> None:
    page = (programs.REPOSITORY / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = {title.lower() for title in re.findall(r"^## (Paddock\w+)$", page, re.MULTILINE)}
    anchors = {alert["annotations"]["runbook_url"].partition("#")[2] for alert in every_alert()}
    assert anchors == sections


def test_alerts_of_a_stack_are_promql_over_series_that_the_router_serves() -> None:
    for alert in rules()["groups"][0]["rules"]:
        promql_parser.parse(alert["expr"])
        assert named_in(alert["expr"]) <= served(), alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info")


def test_limits_of_the_config_are_the_limits_of_the_alerts() -> None:
    made = rules(budget={"softLimit": 0.5}, routing={"queue": {"maxWaiting": 100}})["groups"][0]["rules"]
    by_name = {alert["alert"]: alert["expr"] for alert in made}
    assert by_name["PaddockBudgetSoftLimit"].endswith(">= 0.5")
    assert by_name["PaddockQueueFull"].endswith("> 80")


def test_a_scale_shortens_every_time() -> None:
    spec = load_spec({"models": {"m": {"model": "gemma3:270m"}}}, source="a test")
    text = yaml.safe_dump(rule_file(Watched.stack(spec, "dev", time_scale=0.01)))
    assert not re.search(r"\[\d+[hm]\]|for: \d+[hm]\n", text)
