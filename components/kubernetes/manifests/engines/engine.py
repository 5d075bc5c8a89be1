"""What the target has to know of an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.kubernetes.model import KubernetesModel, KubernetesPlan

STORE = "/models"
"""Where the weights are mounted, whatever they are on."""


@dataclass(frozen=True)
class Loading:
    """How weights come into the store."""

    command: list[str]
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Engine:
    """One engine: what its containers run. Each field is a pure function of the model."""

    port: int
    serves_metrics: bool
    """Whether /metrics of its own is worth scraping."""
    command: Callable[[KubernetesModel], list[str]]
    environment: Callable[[KubernetesPlan, KubernetesModel], dict[str, Any]]
    loading: Callable[[KubernetesPlan, KubernetesModel], Loading]
    """Fetches the weights into the store and checks them, saying how far it is; quick where they are there."""
    waiting: Callable[[KubernetesPlan, KubernetesModel], Loading]
    """Waits until somebody else has fetched the weights."""
    probes: Callable[[KubernetesModel, int], dict[str, Any]]
    """Start-up, readiness and liveness; the number is how many seconds loading may take."""
