"""Every configuration, decided once."""

from __future__ import annotations

import pytest

from components.kubernetes.manifests.meta import Manifest
from components.kubernetes.model import KubernetesPlan
from tests.unit.kubernetes.configurations import manifests_of, plans

PLANS = plans()


@pytest.fixture(params=list(PLANS))
def plan(request: pytest.FixtureRequest) -> KubernetesPlan:
    return PLANS[request.param]


@pytest.fixture
def manifests(plan: KubernetesPlan) -> list[Manifest]:
    return manifests_of(plan)
