"""What a container is, in one form for what Pulumi registers and for what a compose file says."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"h": 3600, "m": 60, "s": 1}
ONLY_IN_COMPOSE = {"pids_limit"}
"""What pulumi-docker 5 has no argument for."""


def of_compose(document: dict[str, Any], contents: dict[str, str]) -> dict[str, Any]:
    """The whole fleet as a compose file has it."""
    return {
        "containers": {
            service["container_name"]: _of_service(name, service, document, contents)
            for name, service in document["services"].items()
        },
        "networks": {
            one["name"]: (one["driver"], one["internal"], one["labels"]) for one in document["networks"].values()
        },
        "volumes": {one["name"]: one["labels"] for one in document["volumes"].values()},
    }


def _of_service(name: str, given: dict[str, Any], document: dict[str, Any], contents: dict[str, str]) -> dict[str, Any]:
    service = resolved({key: value for key, value in given.items() if key not in ONLY_IN_COMPOSE})
    mounts, files = set[tuple[str, str, str, bool]](), dict[str, str]()
    for mount in service.pop("volumes", []):
        source, target, kind = mount["source"], mount["target"], mount["type"]
        if kind == "volume":
            mounts.add((kind, document["volumes"][source]["name"], target, mount["read_only"]))
        elif source.startswith("./"):
            assert mount["read_only"]
            files[target] = contents[source.removeprefix("./")]
        else:
            mounts.add((kind, source, target, mount["read_only"]))
    for secret in service.pop("secrets", []):
        files[f"/run/secrets/{secret}"] = contents[secret]
    health = service.pop("healthcheck", None)
    devices = service.pop("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    found = {
        "image": service.pop("image"),
        "entrypoint": service.pop("entrypoint"),
        "command": service.pop("command"),
        "environment": service.pop("environment", {}),
        "user": service.pop("user"),
        "working_dir": service.pop("working_dir", None),
        "restart": service.pop("restart"),
        "read_only": service.pop("read_only"),
        "dropped": service.pop("cap_drop"),
        "added": service.pop("cap_add", []),
        "security": service.pop("security_opt"),
        "memory_mib": service.pop("mem_limit") / 2**20,
        "shm_mib": service.pop("shm_size", 0) / 2**20,
        "cpus": float(service.pop("cpus", 0)),
        "stop_seconds": seconds(service.pop("stop_grace_period")),
        "labels": service.pop("labels"),
        "logging": service.pop("logging"),
        "networks": {document["networks"][one]["name"]: [name] for one in service.pop("networks", [])},
        "network_mode": service.pop("network_mode", None),
        "ports": {tuple(port.rsplit(":", 2)) for port in service.pop("ports", [])},
        "mounts": mounts,
        "files": files,
        "tmpfs": dict(one.split(":", 1) for one in service.pop("tmpfs", [])),
        "health": health
        and (
            health["test"],
            *(seconds(health[key]) for key in ("interval", "timeout", "start_period")),
            health["retries"],
        ),
        "gpus": [(one["driver"], one["device_ids"], one["capabilities"]) for one in devices],
        "devices": {one.partition(":")[0] for one in service.pop("devices", [])},
        "groups": service.pop("group_add", []),
        "after": {document["services"][other]["container_name"] for other in service.pop("depends_on", {})},
    }
    del service["container_name"]
    assert not service, f"the compose file says more of {name} than is compared: {service}"
    return found


def of_resources(
    containers: list[dict[str, Any]],
    networks: list[dict[str, Any]],
    volumes: list[dict[str, Any]],
    images: dict[str, str],
    after: dict[str, set[str]],
) -> dict[str, Any]:
    """The whole fleet as Pulumi registers it.

    Args:
        containers: The inputs of the containers.
        networks: Those of the networks.
        volumes: Those of the volumes.
        images: Names of images by their ids.
        after: Which containers each one is behind, by their whole names.
    """
    return {
        "containers": {one["name"]: _of_container(one, images, after[one["name"]]) for one in containers},
        "networks": {one["name"]: (one["driver"], one["internal"], _labels(one)) for one in networks},
        "volumes": {one["name"]: _labels(one) for one in volumes},
    }


def _of_container(given: dict[str, Any], images: dict[str, str], after: set[str]) -> dict[str, Any]:
    one = dict(given)
    health, runs = one.pop("healthcheck", None), one.pop("mustRun")
    # A server is waited for until it is healthy, a one-shot until it ends.
    assert one.pop("attach", False) is (not runs)
    assert one.pop("logs", False) is (not runs)
    assert one.pop("wait", False) is runs
    assert (one.pop("waitTimeout", 0) > 0) is runs
    assert one.pop("destroyGraceSeconds") == one["stopTimeout"]
    capabilities = one.pop("capabilities")
    found = {
        "image": images[one.pop("image")],
        "entrypoint": one.pop("entrypoints"),
        "command": one.pop("command", []),
        "environment": dict(pair.split("=", 1) for pair in one.pop("envs", [])),
        "user": one.pop("user"),
        "working_dir": one.pop("workingDir", None),
        "restart": one.pop("restart"),
        "read_only": one.pop("readOnly"),
        "dropped": capabilities["drops"],
        "added": [name.removeprefix("CAP_") for name in capabilities.get("adds", [])],
        "security": one.pop("securityOpts"),
        "memory_mib": one.pop("memory"),
        "shm_mib": one.pop("shmSize", 0),
        "cpus": float(one.pop("cpus", 0)),
        "stop_seconds": one.pop("stopTimeout"),
        "labels": _labels(one),
        "logging": {"driver": one.pop("logDriver"), "options": one.pop("logOpts")},
        "networks": {network["name"]: network["aliases"] for network in one.pop("networksAdvanced", [])},
        "network_mode": one.pop("networkMode", None),
        "ports": {
            (str(port["ip"]), str(int(port["external"])), str(int(port["internal"]))) for port in one.pop("ports", [])
        },
        "mounts": {(m["type"], m["source"], m["target"], m["readOnly"]) for m in one.pop("mounts", [])},
        "files": {upload["file"]: upload["content"] for upload in one.pop("uploads", [])},
        "tmpfs": one.pop("tmpfs", {}),
        "health": health
        and (
            health["tests"],
            *(seconds(health[key]) for key in ("interval", "timeout", "startPeriod")),
            health["retries"],
        ),
        "gpus": [(d["driver"], d["deviceIds"], d["capabilities"]) for d in one.pop("deviceRequests", [])],
        "devices": {device["hostPath"] for device in one.pop("devices", [])},
        "groups": one.pop("groupAdds", []),
        "after": after,
    }
    del one["name"], one["labels"]
    assert not one, f"Pulumi says more of {given['name']} than is compared: {one}"
    return found


def _labels(one: dict[str, Any]) -> dict[str, str]:
    return {label["label"]: label["value"] for label in one["labels"]}


def resolved(value: Any) -> Any:
    """What compose makes of its variables where none is set, and of escaped dollar signs."""
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$(?:(\$)|\{[A-Z_]+:-([^}]*)\})", lambda found: found[1] or found[2], value)


def seconds(length: str) -> int:
    """``2m40s`` in seconds."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", length))
