"""Files for a Prometheus and a Grafana beside a fleet on the local or Docker target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from fleet_spec.monitoring.alerts import rule_file
from fleet_spec.monitoring.dashboard import dashboard
from fleet_spec.monitoring.watched import JOB, Watched, duration

RULES: Final = "rules.yml"
_SCRAPE_SECONDS: Final = 15.0
_LEAST_SCRAPE_SECONDS: Final = 0.5
_SOURCE_NAME: Final = "Paddock's Prometheus"


@dataclass(frozen=True)
class Scraped:
    """Where Prometheus reads a router, and where the others are."""

    metrics_url: str
    """The router's ``/metrics``."""
    key_file: str | None
    """The file with the key that it shows; None where none is asked for."""
    prometheus_url: str
    """Where Grafana reaches Prometheus."""
    alertmanager: str | None
    """Host and port of the Alertmanager; None: alerts show in Prometheus alone."""
    dashboards: str
    """The directory with the dashboard, as Grafana sees it."""


def prometheus_config(watched: Watched, scraped: Scraped) -> dict[str, Any]:
    """What ``prometheus.yml`` holds. The rules lie beside it."""
    every = duration(max(_LEAST_SCRAPE_SECONDS, _SCRAPE_SECONDS * watched.time_scale))
    url = urlsplit(scraped.metrics_url)
    job: dict[str, Any] = {"job_name": JOB, "metrics_path": url.path, "scheme": url.scheme}
    if scraped.key_file is not None:
        job["authorization"] = {"type": "Bearer", "credentials_file": scraped.key_file}
    job["static_configs"] = [{"targets": [url.netloc], "labels": dict(watched.labels)}]
    config: dict[str, Any] = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [RULES],
    }
    if scraped.alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [scraped.alertmanager]}]}]}
    return {**config, "scrape_configs": [job]}


def files(watched: Watched, scraped: Scraped) -> Mapping[str, Mapping[str, str]]:
    """Texts by the name of the file, by the directory below the one that is written to."""
    source = {"name": _SOURCE_NAME, "type": "prometheus", "access": "proxy", "url": scraped.prometheus_url}
    provider = {"name": "paddock", "type": "file", "options": {"path": scraped.dashboards}}
    return {
        "": {"prometheus.yml": _yaml(prometheus_config(watched, scraped)), RULES: _yaml(rule_file(watched))},
        "grafana/provisioning/datasources": {"paddock.yaml": _yaml({"apiVersion": 1, "datasources": [source]})},
        "grafana/provisioning/dashboards": {"paddock.yaml": _yaml({"apiVersion": 1, "providers": [provider]})},
        "grafana/dashboards": {"paddock.json": json.dumps(dashboard(watched), indent=1) + "\n"},
    }


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, width=1000)
