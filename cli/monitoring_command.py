"""``paddock monitoring``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption, StackOption


def monitoring(
    out: Annotated[Path, typer.Option("--out", "-o", help="The directory to write to.")],
    stack: StackOption = "dev",
    router: Annotated[
        str | None, typer.Option(help="Where Prometheus reaches the router; what the config says by default.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="The file with the key that Prometheus shows; a local stack's own by default.")
    ] = None,
    prometheus: Annotated[str, typer.Option(help="Where Grafana reaches Prometheus.")] = "http://127.0.0.1:9090",
    alertmanager: Annotated[str | None, typer.Option(help="The Alertmanager, as HOST:PORT.")] = None,
    dashboards: Annotated[
        Path | None, typer.Option(help="Where Grafana sees the folder grafana/dashboards, if not where it is written.")
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0.001, max=1, help="Shortens every time, to try alerts out: 0.02 makes 5 min 6 s.")
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Write what a Prometheus and a Grafana beside a local or Docker stack need: scraping, alerts, dashboard."""
    from cli.commands.monitoring import Wanted, run

    run(stack, out, Wanted(router, key_file, prometheus, alertmanager, dashboards, time_scale), as_json=as_json)
