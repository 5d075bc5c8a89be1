"""paddock monitoring: files for Prometheus and Grafana from a stack's config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from tests import programs

pytestmark = pytest.mark.unit

MODELS = {"models": {"assistant": {"model": "gemma3:270m"}}}


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stack for each target."""
    (tmp_path / "Pulumi.yaml").write_text("name: paddock\nruntime: python\n")
    (tmp_path / "__main__.py").touch()
    for name, target, port in (("dev", "local", 8123), ("host", "docker", 8124), ("prod", "kubernetes", 8080)):
        router: dict[str, Any] = {"port": port}
        if target != "local":
            router["image"] = "registry.example.com/paddock:1.0.0"
        config = {"paddock:target": target, "paddock:models": MODELS["models"], "paddock:router": router}
        (tmp_path / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": config}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def monitoring(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["paddock", "monitoring", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Result(int(ended.value.code or 0), said.out, said.err)

    return run


def config_in(directory: Path) -> dict[str, Any]:
    return yaml.safe_load((directory / "prometheus.yml").read_text())


def test_a_local_stack_is_scraped_with_its_own_key(monitoring: Any, project: Path) -> None:
    result = monitoring("--out", "watch", "--json")
    assert result.code == 0, result.err
    (job,) = config_in(project / "watch")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8123"], "labels": {"stack": "dev"}}]
    key_file = str(project / ".paddock" / "dev" / "secrets" / "default")
    assert job["authorization"] == {"type": "Bearer", "credentials_file": key_file}
    written = json.loads(result.out)
    assert written["metrics"] == "http://127.0.0.1:8123/metrics"
    assert all((project / "watch" / one["name"]).is_file() for one in written["files"])


def test_prometheus_and_grafana_find_what_they_need(monitoring: Any, project: Path) -> None:
    _, promtool = programs.prometheus_programs()
    options = ("--key-file", str(project / "key"), "--alertmanager", "127.0.0.1:9093", "--prometheus", "http://p:9090/")
    (project / "key").touch()
    assert monitoring("--out", "watch", *options).code == 0
    watch = project / "watch"
    checked = subprocess.run(
        [promtool, "check", "config", watch / "prometheus.yml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "9093" in (watch / "prometheus.yml").read_text()
    provisioning = watch / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "paddock.yaml").read_text())["datasources"]
    assert source["url"] == "http://p:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "paddock.yaml").read_text())["providers"]
    assert json.loads((Path(provider["options"]["path"]) / "paddock.json").read_text())["title"] == "Paddock: dev"


def test_a_docker_stack_is_scraped_at_its_published_port(monitoring: Any, project: Path) -> None:
    result = monitoring("--stack", "host", "--out", "watch")
    assert result.code == 0, result.err
    (job,) = config_in(project / "watch")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:8124"]
    assert "authorization" not in job
    assert "--key-file" in result.err


def test_writing_it_again_is_no_trouble(monitoring: Any, project: Path) -> None:
    assert monitoring("--out", "watch").code == 0
    assert monitoring("--out", "watch", "--router", "https://router.example.com/").code == 0
    (job,) = config_in(project / "watch")["scrape_configs"]
    assert (job["scheme"], job["static_configs"][0]["targets"]) == ("https", ["router.example.com"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--stack", "prod"), "paddock render"),
        (("--router", "127.0.0.1:8080"), "--router 127.0.0.1:8080 is no address"),
        (("--prometheus", "ftp://p"), "--prometheus ftp://p is no address"),
        (("--alertmanager", "http://a:9093"), "is no HOST:PORT"),
        (("--stack", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    monitoring: Any, project: Path, options: tuple[str, ...], said: str
) -> None:
    result = monitoring("--out", "watch", *options)
    assert result.code == 2
    assert said in result.err
    assert not (project / "watch").exists()


def test_a_directory_of_something_else_is_left_alone(monitoring: Any, project: Path) -> None:
    (project / "watch").mkdir()
    (project / "watch" / "mine.txt").touch()
    result = monitoring("--out", "watch")
    assert result.code == 2
    assert "mine.txt" in result.err
