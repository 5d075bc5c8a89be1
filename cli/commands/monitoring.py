"""monitoring: files for Prometheus and Grafana, from the stack's config alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.console import note, write, write_json
from cli.project import find_project
from cli.rendered_files import write_files
from cli.stack_spec import read_stack_spec
from components.docker.contract import host_url
from components.local.paths import default_key_path
from fleet_spec.errors import BadInputError
from fleet_spec.monitoring.scraping import Scraped, files
from fleet_spec.monitoring.watched import Watched


@dataclass(frozen=True)
class Wanted:
    """What the command line says, beside stack and directory."""

    router_url: str | None
    key_file: Path | None
    prometheus_url: str
    alertmanager: str | None
    dashboards: Path | None
    time_scale: float


def run(stack: str, out: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Write the files below ``out``.

    Raises:
        BadInputError: the stack is for Kubernetes, an address is none, or ``out`` has files of something else.
        SpecError: the config has mistakes.
        PaddockError: the files cannot be written.
    """
    project = find_project()
    spec = read_stack_spec(project.directory, stack)
    if spec.target == "kubernetes":
        raise BadInputError(
            f"stack {stack!r} is for the target 'kubernetes', whose manifests bring alerts and dashboard. "
            f"fix: paddock render --stack {stack} --out DIR, or bring it up with monitoring.enabled"
        )
    key_file = wanted.key_file
    if key_file is None and spec.target == "local":
        key_file = default_key_path(project.directory, stack)
    alertmanager = wanted.alertmanager
    if alertmanager is not None and not re.fullmatch(r"[^/\s]+:\d+", alertmanager):
        raise BadInputError(f"--alertmanager {alertmanager} is no HOST:PORT. fix: such as 127.0.0.1:9093")
    router = wanted.router_url or host_url(spec.router.host, spec.router.port)
    scraped = Scraped(
        metrics_url=f"{_address('--router', router)}/metrics",
        key_file=None if key_file is None else str(key_file.absolute()),
        prometheus_url=_address("--prometheus", wanted.prometheus_url),
        alertmanager=alertmanager,
        dashboards=str(wanted.dashboards or (out / "grafana" / "dashboards").absolute()),
    )
    made = files(Watched.stack(spec, stack, time_scale=wanted.time_scale), scraped)
    for directory, texts in made.items():
        write_files(texts, out / directory, beside=() if directory else ("grafana",))
    names = [str(Path(directory) / name) for directory, texts in made.items() for name in texts]
    if as_json:
        write_json(
            {
                "stack": stack,
                "directory": str(out),
                "metrics": scraped.metrics_url,
                "keyFile": scraped.key_file,
                "files": [{"name": name} for name in names],
            }
        )
        return
    for name in names:
        write(str(out / name))
    if scraped.key_file is None:
        note("Prometheus shows no key; where the router asks for one, name a file that holds it with --key-file")
    elif not Path(scraped.key_file).exists():
        note(f"Prometheus will show the key in {scraped.key_file}, which is not there yet")
    note(f"next: prometheus --config.file {out / 'prometheus.yml'}")


def _address(option: str, text: str) -> str:
    """An address without a slash at its end.

    Raises:
        BadInputError: it is none.
    """
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
        raise BadInputError(f"{option} {text} is no address. fix: write it as http://127.0.0.1:8080")
    return text.rstrip("/")
