"""The Pod Security standard ``restricted``, as its page in the Kubernetes documentation lists it."""

from __future__ import annotations

from typing import Any

_ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}
# Image volumes came later than the page; the admission controller lets them through.
_ALLOWED_VOLUMES |= {"secret", "image"}


def violations(pod: dict[str, Any]) -> list[str]:
    """What keeps a pod's spec from being admitted where ``restricted`` is enforced."""
    found = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC", "hostUsers") if pod.get(name)]
    found += [
        f"volume {volume['name']} is a {kind}"
        for volume in pod.get("volumes", [])
        for kind in set(volume) - {"name"} - _ALLOWED_VOLUMES
    ]
    whole = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        name = container["name"]
        checks = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged", False),
            "runAsNonRoot": own.get("runAsNonRoot", whole.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", whole.get("runAsUser", 1)) != 0,
            "seccompProfile": own.get("seccompProfile", whole.get("seccompProfile", {})).get("type")
            in ("RuntimeDefault", "Localhost"),
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "capabilities.add": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "procMount": own.get("procMount", "Default") == "Default",
            "hostPorts": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{name}: {what}" for what, right in checks.items() if not right]
    return found
