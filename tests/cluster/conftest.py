"""One control plane for all cluster tests: a namespace and nodes of its own keep each test apart from the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests import programs
from tests.cluster import nodes as simulated
from tests.cluster.client import Client, Manifest
from tests.cluster.control_plane import ControlPlane, run_control_plane
from tests.cluster.metrics_api import Metrics, run_metrics_api
from tests.cluster.volumes import run_provisioner

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real control plane with no nodes."""
    found = programs.control_plane_programs()
    with run_control_plane(found, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def client(control_plane: ControlPlane) -> Client:
    """The cluster's administrator."""
    return control_plane.client


@pytest.fixture(scope="session")
def metrics(control_plane: ControlPlane) -> Iterator[Metrics]:
    """Custom and external metrics whose values a test sets."""
    with run_metrics_api(control_plane) as served:
        yield served


@pytest.fixture(scope="session")
def provisioner(control_plane: ControlPlane) -> Iterator[None]:
    """Serves claims of every storage class made with :func:`tests.cluster.volumes.storage_class`."""
    with run_provisioner(control_plane.new_client()):
        yield


AddNodes = Callable[[Iterable[Manifest]], list[str]]


@pytest.fixture
def add_nodes(client: Client) -> Iterator[AddNodes]:
    """Adds simulated nodes, and takes them away after the test."""
    added: list[str] = []

    def add(manifests: Iterable[Manifest]) -> list[str]:
        names = simulated.add_nodes(client, manifests)
        added.extend(names)
        return names

    yield add
    simulated.remove_nodes(client, added)


MakeNamespace = Callable[..., str]


@pytest.fixture
def make_namespace(control_plane: ControlPlane, add_nodes: AddNodes) -> Iterator[MakeNamespace]:
    """Makes namespaces, and ends them after the test: ``make_namespace(pod_security="restricted")``.

    They end before the test's nodes go, so that nothing is left to be put on the nodes of the next test.
    """
    made: list[str] = []

    def make(*, pod_security: str | None = None) -> str:
        made.append(control_plane.make_namespace(f"test-{next(_numbers)}", pod_security=pod_security))
        return made[-1]

    yield make
    for name in made:
        control_plane.end_namespace(name)


@pytest.fixture
def namespace(make_namespace: MakeNamespace) -> str:
    """A namespace without rules for pods."""
    return make_namespace()
