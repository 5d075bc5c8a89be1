"""The dashboard in Grafana's own format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fleet_spec.monitoring.panels import Panel, Row, rows
from fleet_spec.monitoring.watched import Watched

_WIDTH: Final = 8
_HEIGHT: Final = 8
_COLUMNS: Final = 3
_LONGEST_UID: Final = 40
"""Grafana refuses longer ones."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(watched: Watched, further: Sequence[Row] = ()) -> dict[str, Any]:
    """The dashboard of a fleet, with the rows of its target."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in (*rows(watched), *further):
        panels.append(_heading(len(panels) + 1, row.title, top))
        top += 1
        for index, panel in enumerate(row.panels):
            place = {
                "h": _HEIGHT,
                "w": _WIDTH,
                "x": _WIDTH * (index % _COLUMNS),
                "y": top + _HEIGHT * (index // _COLUMNS),
            }
            panels.append(_plot(len(panels) + 1, panel, place))
        top += _HEIGHT * -(-len(row.panels) // _COLUMNS)
    return {
        "uid": f"paddock-{watched.name}"[:_LONGEST_UID],
        "title": f"Paddock: {watched.name}",
        "tags": ["paddock"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def _heading(number: int, title: str, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"h": 1, "w": _WIDTH * _COLUMNS, "x": 0, "y": top},
        "panels": [],
    }


def _plot(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }
