"""A provisioner of volumes for tests: it makes the volume that a claim asks for, as a cloud's CSI driver would.

The binding is Kubernetes' own. No data is kept and nothing is attached, so a ReadWriteOnce volume that two nodes want
is not held back here as it would be in a real cluster; that it stays in its zone is true here too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.client import ApiError, Client, Manifest

PROVISIONER = "cluster-tests.local/volumes"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WANTED_FROM = "volume.kubernetes.io/storage-provisioner"
POLL_SECONDS = 0.2


def storage_class(name: str, *, binding: str = "WaitForFirstConsumer", default: bool = False) -> Manifest:
    """A storage class that the tests' provisioner serves, for claims that name none as well where it is the default."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true" if default else "false"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": binding,
        "allowVolumeExpansion": True,
    }


@contextmanager
def run_provisioner(client: Client) -> Iterator[None]:
    """Serve claims in a thread of its own, until the end. The client is closed with it."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(POLL_SECONDS):
            for claim in client.objects("v1", "PersistentVolumeClaim"):
                if _is_wanted(claim):
                    _provide(client, claim)
            for volume in client.objects("v1", "PersistentVolume"):
                if volume["status"].get("phase") == "Released" and _is_ours(volume):
                    client.delete("v1", "PersistentVolume", volume["metadata"]["name"])

    thread = threading.Thread(target=serve, name="volume-provisioner")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        client.close()


def _is_wanted(claim: Manifest) -> bool:
    # Kubernetes writes this annotation once the claim is to be served: for WaitForFirstConsumer when a node is chosen.
    annotations = claim["metadata"].get("annotations", {})
    return not claim["spec"].get("volumeName") and annotations.get(WANTED_FROM) == PROVISIONER


def _is_ours(volume: Manifest) -> bool:
    return volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER


def _provide(client: Client, claim: Manifest) -> None:
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "hostPath": {"path": f"/nowhere/{name}"},
        },
    }
    zone = _zone(client, metadata.get("annotations", {}).get(SELECTED_NODE))
    if zone and "ReadWriteMany" not in spec["accessModes"]:
        term = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}
        volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    try:
        client.request("POST", "/api/v1/persistentvolumes", volume)
    except ApiError as refused:
        # Made in an earlier round, and not bound yet.
        if refused.status != 409:
            raise


def _zone(client: Client, node: str | None) -> str | None:
    found = client.find("v1", "Node", node) if node else None
    return found["metadata"]["labels"].get("topology.kubernetes.io/zone") if found else None
