"""Taking production down asks for its name."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cli.commands.lifecycle import require_name
from cli.project import Project
from fleet_spec.errors import BadInputError
from fleet_spec.spec import is_production

pytestmark = pytest.mark.unit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  paddock:models: {a: gemma3:270m}\n")
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  paddock:models: {a: gemma3:270m}\n")
    (tmp_path / "Pulumi.prod-open.yaml").write_text("config:\n  paddock:protect: false\n")
    (tmp_path / "Pulumi.shop.yaml").write_text("config:\n  paddock:protect: true\n")
    (tmp_path / "Pulumi.production.yaml").write_text("config: [")
    return Project(tmp_path)


@pytest.mark.parametrize("stack", ["dev", "prod-open", "gone"])
def test_what_is_not_production_asks_for_nothing(project: Project, stack: str) -> None:
    require_name(project, stack, None)


@pytest.mark.parametrize("stack", ["prod", "shop", "production", "prod-gone"])
def test_production_is_taken_down_by_its_name_alone(project: Project, stack: str) -> None:
    require_name(project, stack, stack)
    for wrong in (None, "dev", ""):
        with pytest.raises(BadInputError, match=f"--name {stack}") as caught:
            require_name(project, stack, wrong)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(("typed", "passes"), [("prod\n", True), ("yes\n", False), ("", False)])
def test_at_a_terminal_the_name_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, typed: str, passes: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    if passes:
        require_name(project, "prod", None)
    else:
        with pytest.raises(BadInputError):
            require_name(project, "prod", None)


def test_the_configs_word_goes_before_the_name() -> None:
    assert is_production("prod-eu", None)
    assert not is_production("product", None)
    assert not is_production("prod", protect=False)
    assert is_production("dev", protect=True)
