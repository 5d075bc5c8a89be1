"""``pulumi preview --policy-pack policies`` on the real program, with the real engine: the same rules as the plan's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.plan.build import build_plan
from components.kubernetes.groups import fleet_groups
from components.kubernetes.plan import plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.loading import load_spec
from tests.engine.kubernetes_stack import ClusterStack, make_stack, small_fleet
from tests.programs import REPOSITORY

if TYPE_CHECKING:
    from tests.engine.conftest import Pulumi

pytestmark = pytest.mark.engine

PACK = REPOSITORY / "policies"


@pytest.fixture
def stack(pulumi_in: Callable[[Path], Pulumi], tmp_path: Path) -> ClusterStack:
    directory = tmp_path / "project"
    directory.mkdir()
    return make_stack(pulumi_in(directory), tmp_path, "dev", small_fleet())


def preview(stack: ClusterStack, exit_code: int, **changes: Any) -> str:
    stack.write(small_fleet(**changes))
    return stack.pulumi.run("preview", "--stack", stack.name, "--policy-pack", str(PACK), exit_code=exit_code)


def test_a_fleet_as_it_comes_passes(stack: ClusterStack) -> None:
    said = preview(stack, 0)
    assert "[mandatory]" not in said
    assert "paddock" in said
    assert "can't run policy" not in said


def test_a_mandatory_rule_stops_the_preview_and_says_what_where_why_and_the_fix(stack: ClusterStack) -> None:
    said = preview(stack, 1, policies={"registries": ["mirror.example.com"]})
    assert "image-registries" in said
    assert "Deployment/router: router runs 'registry.example.com/paddock:1.0.0'" in said
    assert "What nobody vouches for" in said
    assert "fix: mirror it there" in said


def test_the_stacks_own_level_makes_it_a_word_of_advice(stack: ClusterStack) -> None:
    said = preview(
        stack, 0, policies={"registries": ["mirror.example.com"], "levels": {"image-registries": "advisory"}}
    )
    assert "image-registries" in said
    assert "[advisory]" in said


def test_a_rule_of_the_whole_fleet_judges_by_the_config_too(stack: ClusterStack) -> None:
    cheap = {"prices": {"cpuUsdPerHour": 10, "storageUsdPerGibMonth": 0}}
    assert "over the ceiling of 100" in preview(stack, 1, policies={"monthlyUsd": 100}, **cheap)
    assert "monthly-cost" not in preview(stack, 0, policies={"monthlyUsd": 100_000}, **cheap)


def test_an_exception_lets_it_pass(stack: ClusterStack) -> None:
    exception = {
        "rule": "image-registries",
        "where": "*",
        "reason": "the mirror is being built",
        "until": "2999-12-31",
    }
    said = preview(stack, 0, policies={"registries": ["mirror.example.com"], "exceptions": [exception]})
    assert "image-registries" not in said


def test_the_engine_makes_what_the_plan_has_judged(stack: ClusterStack) -> None:
    config = small_fleet(models={"one": {"model": "mistral:7b", "replicas": {"min": 2, "max": 3}}})
    stack.write(config)
    stack.up()
    made = stack.cluster.objects()
    planned = plan_fleet(load_spec(config), stack.name, load_catalogue())
    judged = {
        f"{one['kind']}/{one['metadata']['name']}": one for group in fleet_groups(planned) for one in group.manifests
    }
    assert {name for name in made if not name.startswith("Secret/")} == set(judged)
    (model,) = build_plan(load_spec(config), stack.name, load_catalogue(), stack.pulumi.directory).models
    (scaler,) = (one for name, one in made.items() if name.startswith("HorizontalPodAutoscaler/one"))
    assert scaler["spec"]["minReplicas"] == model.occupation.least_replicas
    assert scaler["spec"]["maxReplicas"] == model.occupation.most_replicas
