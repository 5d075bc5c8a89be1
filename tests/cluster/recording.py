"""Seeing everything that happens to a kind of object while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.client import Client, Manifest

LONGEST_SECONDS = 300.0


@contextmanager
def recording(
    client: Client, api_version: str, kind: str, namespace: str, *, labels: str = ""
) -> Iterator[list[list[Manifest]]]:
    """The objects of a kind as they were after each change of one, from the state at the start on.

    The list is complete when the context has ended::

        with recording(client, "v1", "Pod", namespace) as states:
            ...
        assert min(count_ready(pods) for pods in states) >= 2
    """
    states: list[list[Manifest]] = []
    began, stop = threading.Event(), threading.Event()

    def record() -> None:
        for state in client.watch(api_version, kind, namespace, labels=labels, seconds=LONGEST_SECONDS, stop=stop):
            states.append(state)
            began.set()

    thread = threading.Thread(target=record, name=f"recording {kind}")
    thread.start()
    try:
        assert began.wait(LONGEST_SECONDS)
        yield states
    finally:
        stop.set()
        thread.join()
