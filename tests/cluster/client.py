"""A thin client of the Kubernetes API: plain manifests in, plain objects out, strict about every field."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

Manifest = dict[str, Any]
FIELD_MANAGER = "paddock-tests"
DEADLINE_SECONDS = 30.0
REQUEST_TIMEOUT_SECONDS = 30.0


class ApiError(Exception):
    """The API server refused: ``status`` is HTTP's, ``reason`` and ``message`` are its own words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class _Kind:
    plural: str
    namespaced: bool


class Client:
    """Speaks to one API server with one bearer token. Safe to use from several threads.

    Kinds are named as manifests name them, by ``apiVersion`` and ``kind``; their paths come from discovery, so kinds of
    CustomResourceDefinitions work as soon as these are established.
    """

    def __init__(self, url: str, token: str, trusted: ssl.SSLContext) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            verify=trusted,
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,
        )
        self._kinds: dict[str, dict[str, _Kind]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- one object -----------------------------------------------------------------------------------------------

    def apply(
        self,
        manifest: Mapping[str, Any],
        *,
        namespace: str | None = None,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
        dry_run: bool = False,
    ) -> Manifest:
        """Apply server-side and strictly: an unknown or doubled field is refused.

        Args:
            manifest: One object.
            namespace: Where it goes when the manifest does not say; "default" when neither does.
            field_manager: Whose the fields are.
            force: Whether to take over fields that are another manager's, instead of being refused (409).
            dry_run: Whether only to have it validated, admitted and defaulted.

        Raises:
            ApiError: It was refused.
        """
        metadata = manifest["metadata"]
        path = self._path(
            manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace") or namespace
        )
        query = {"fieldManager": field_manager, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml")

    def apply_all(self, manifests: Iterable[Mapping[str, Any]], *, namespace: str | None = None) -> list[Manifest]:
        """Apply several, in their order. The first that is refused ends it, by its name.

        Raises:
            ApiError: One was refused.
        """
        applied: list[Manifest] = []
        for manifest in manifests:
            try:
                applied.append(self.apply(manifest, namespace=namespace))
            except ApiError as refused:
                name = f"{manifest['kind']} {manifest['metadata']['name']}"
                raise ApiError(refused.status, refused.reason, f"{name}: {refused.message}") from refused
        return applied

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest:
        """Read one object.

        Raises:
            ApiError: It is not there (404).
        """
        return self.request("GET", self._path(api_version, kind, name, namespace))

    def find(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Read one object, or nothing where it is not there."""
        try:
            return self.get(api_version, kind, name, namespace)
        except ApiError as refused:
            if refused.status == 404:
                return None
            raise

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> None:
        """Ask for the end of one object and, in the background, of what it owns. One that is not there is no error."""
        path = self._path(api_version, kind, name, namespace)
        grace = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        try:
            self.request("DELETE", path, {"propagationPolicy": "Background", **grace})
        except ApiError as refused:
            if refused.status != 404:
                raise

    def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Manifest:
        """Patch one object or a subresource of it, by JSON merge patch."""
        path = self._path(api_version, kind, name, namespace) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, patch, content_type="application/merge-patch+json")

    def scale(self, api_version: str, kind: str, name: str, replicas: int, namespace: str | None = None) -> None:
        """Set the replicas of a workload, as ``kubectl scale`` does."""
        patch = {"spec": {"replicas": replicas}}
        self.merge(api_version, kind, name, patch, namespace=namespace, subresource="scale")

    def evict(self, pod: str, namespace: str | None = None) -> bool:
        """Ask for the eviction of a pod, as a drain does; False where a disruption budget forbids it now."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        try:
            self.request("POST", self._path("v1", "Pod", pod, namespace) + "/eviction", body)
        except ApiError as refused:
            if refused.status == 429:
                return False
            raise
        return True

    # --- many objects ---------------------------------------------------------------------------------------------

    def objects(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """Read the objects of a kind, of all namespaces where none is given, by label and field selector."""
        return self._list(api_version, kind, namespace, labels, fields)["items"]

    def pods(self, namespace: str, labels: str = "") -> list[Manifest]:
        """The pods of a namespace."""
        return self.objects("v1", "Pod", namespace, labels=labels)

    def events(self, namespace: str, *, about: str | None = None) -> list[str]:
        """What was reported in a namespace, or about the object of that name there: "reason: message" each."""
        fields = f"involvedObject.name={about}" if about else ""
        return [
            f"{event['reason']}: {event['message']}" for event in self.objects("v1", "Event", namespace, fields=fields)
        ]

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        seconds: float = DEADLINE_SECONDS,
        stop: threading.Event | None = None,
    ) -> Iterator[list[Manifest]]:
        """The objects of a kind as they are now, and anew after each change of one.

        Ends when ``seconds`` are over, and at most a second after ``stop`` is set.
        """
        deadline = time.monotonic() + seconds
        listed = self._list(api_version, kind, namespace, labels, "")
        known = {item["metadata"]["uid"]: item for item in listed["items"]}
        version = listed["metadata"]["resourceVersion"]
        yield list(known.values())
        path = self._path(api_version, kind, None, namespace)
        while time.monotonic() < deadline and not (stop and stop.is_set()):
            # Nothing is lost between two requests: the second goes on where the first ended.
            query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "1", **_selectors(labels, "")}
            with self._http.stream("GET", path, params=query) as lines:
                for line in lines.iter_lines():
                    event = json.loads(line)
                    changed = event["object"]
                    if event["type"] == "ERROR":
                        raise ApiError(changed["code"], changed["reason"], changed["message"])
                    version = changed["metadata"]["resourceVersion"]
                    known[changed["metadata"]["uid"]] = changed
                    if event["type"] == "DELETED":
                        del known[changed["metadata"]["uid"]]
                    yield list(known.values())

    def until(
        self,
        condition: Callable[[list[Manifest]], object],
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        seconds: float = DEADLINE_SECONDS,
    ) -> list[Manifest]:
        """Wait until the objects of a kind are as ``condition`` wants them, and return them.

        Raises:
            TimeoutError: They are not after ``seconds``; says how they are.
        """
        seen: list[Manifest] = []
        for seen in self.watch(api_version, kind, namespace, labels=labels, seconds=seconds):
            if condition(seen):
                return seen
        summary = "\n".join(f"{item['metadata']['name']}: {json.dumps(item.get('status'))}" for item in seen[:20])
        raise TimeoutError(
            f"{kind} in {namespace} are not as awaited after {seconds:.0f} s:\n{summary or 'there is none'}"
        )

    # --- underneath -----------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Any other request, for what has no method here.

        Raises:
            ApiError: It was refused.
        """
        content = None if body is None else json.dumps(body)
        answer = self._http.request(
            method, path, params=dict(query or {}), content=content, headers={"Content-Type": content_type}
        )
        if answer.is_error:
            try:
                status = answer.json()
            except ValueError:
                status = {}
            raise ApiError(answer.status_code, status.get("reason", ""), status.get("message", answer.text))
        return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else answer.text

    def _list(self, api_version: str, kind: str, namespace: str | None, labels: str, fields: str) -> Any:
        return self.request("GET", self._path(api_version, kind, None, namespace), query=_selectors(labels, fields))

    def _path(self, api_version: str, kind: str, name: str | None, namespace: str | None) -> str:
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        found = self._kind(root, api_version, kind)
        if name is not None and namespace is None:
            namespace = "default"
        path = (
            f"{root}/namespaces/{namespace}/{found.plural}"
            if found.namespaced and namespace
            else f"{root}/{found.plural}"
        )
        return path if name is None else f"{path}/{quote(name, safe='')}"

    def _kind(self, root: str, api_version: str, kind: str) -> _Kind:
        known = self._kinds.get(api_version, {})
        if kind not in known:
            known = {
                resource["kind"]: _Kind(resource["name"], resource["namespaced"])
                for resource in self.request("GET", root)["resources"]
                if "/" not in resource["name"]
            }
            self._kinds[api_version] = known
        if kind not in known:
            raise ApiError(404, "NotFound", f"the server knows no {kind} in {api_version}")
        return known[kind]


def _selectors(labels: str, fields: str) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in chosen.items() if value}
