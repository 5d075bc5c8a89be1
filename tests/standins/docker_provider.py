"""A stand-in, for tests, for Pulumi's Docker plugin, over the engine's own protocol.

The real ``pulumi-resource-docker`` is a Go program that the engine downloads, which a test must not need. This one does
to a host (:mod:`tests.standins.docker_host`) what the real one does, as far as a fleet can tell: what replaces a
container and what changes it in place, a one-shot waited for until it ends, with its exit code and what it said, a
server waited for until it is healthy, one that did not become so kept in the state, and secrets that stay secrets.

What it leaves out: everything of images but pulling them, services, plugins, builds, imports.
"""
# ruff: noqa: N802 - the protocol names the methods

from __future__ import annotations

import os
from typing import Any

import httpx

from tests.standins.kubernetes_properties import SECRET, SIGNATURE, changed_paths, plain
from tests.standins.kubernetes_provider import (
    Servicer as KubernetesServicer,
)
from tests.standins.kubernetes_provider import (
    abort_not_ready,
    empty_pb2,
    main,
    plugin_pb2,
    properties_from_struct,
    provider_pb2,
    struct_from_properties,
)

_KINDS = {
    "docker:index/container:Container": "containers",
    "docker:index/network:Network": "networks",
    "docker:index/volume:Volume": "volumes",
    "docker:index/remoteImage:RemoteImage": "images",
}
_IN_PLACE = {
    "containers": {"restart", "memory", "mustRun", "logs", "attach", "wait", "waitTimeout", "destroyGraceSeconds"},
    "images": {"keepLocally", "forceRemove"},
}
"""Inputs whose change does not replace."""


class DockerServicer(KubernetesServicer):
    """The plugin's side of the protocol."""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="5.2.0")

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema='{"name": "docker"}')

    def Configure(self, request: Any, context: Any) -> Any:
        settings = plain(properties_from_struct(request.args))
        address = settings.get("host") or os.environ["DOCKER_HOST"]
        transport = httpx.HTTPTransport(uds=address.removeprefix("unix://"))
        self.host = httpx.Client(transport=transport, base_url="http://docker", timeout=30)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = (plain(properties_from_struct(one)) for one in (request.old_inputs, request.news))
        changed = sorted({path[0] for path in changed_paths(old, new)})
        replaced = [name for name in changed if name not in _IN_PLACE.get(_kind(request.urn), set())]
        response, kinds = provider_pb2.DiffResponse, provider_pb2.PropertyDiff
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            replaces=replaced,
            detailedDiff={
                name: kinds(kind=kinds.UPDATE_REPLACE if name in replaced else kinds.UPDATE, inputDiff=True)
                for name in changed
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        inputs = properties_from_struct(request.properties)
        made = self._order("create", request.urn, plain(inputs), context)
        outputs = struct_from_properties(_outputs(inputs, made, request.urn))
        if made.get("healthy") is False:
            message = f"Container {made['id']} failed to be healthy in time"
            abort_not_ready(context, made["id"], outputs, request.properties, message)
        return provider_pb2.CreateResponse(id=made["id"], properties=outputs)

    def Update(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        inputs = properties_from_struct(request.news)
        made = self._order("start", request.urn, plain(inputs), context)
        return provider_pb2.UpdateResponse(properties=struct_from_properties(_outputs(inputs, made, request.urn)))

    def Read(self, request: Any, context: Any) -> Any:
        inputs = properties_from_struct(request.inputs)
        made = self._order("read", request.urn, plain(inputs), context)
        if not made:
            return provider_pb2.ReadResponse(id="")
        if plain(inputs).get("mustRun") and made["status"] != "running":
            inputs = {**inputs, "mustRun": False}
        outputs = _outputs(inputs, made, request.urn)
        return provider_pb2.ReadResponse(
            id=request.id, properties=struct_from_properties(outputs), inputs=struct_from_properties(inputs)
        )

    def Delete(self, request: Any, context: Any) -> Any:
        given = plain(properties_from_struct(request.properties))
        if not (_kind(request.urn) == "images" and given.get("keepLocally")):
            self._order("delete", request.urn, given, context)
        return empty_pb2.Empty()

    def _order(self, action: str, urn: str, given: dict[str, Any], context: Any) -> dict[str, Any]:
        answer = self.host.post(f"/orders/{action}/{_kind(urn)}", json=given)
        document: dict[str, Any] = answer.json()
        if not answer.is_success:
            import grpc

            context.abort(grpc.StatusCode.UNKNOWN, document["message"])
        return document


def _kind(urn: str) -> str:
    return _KINDS[urn.split("::")[2].rpartition("$")[2]]


def _outputs(inputs: dict[str, Any], made: dict[str, Any], urn: str) -> dict[str, Any]:
    found = {name: made[name] for name in ("exitCode", "containerLogs") if name in made}
    if _kind(urn) == "images":
        found["imageId"] = made["id"]
    # What is secret among the inputs is secret in the state too.
    marked = {name: value for name, value in inputs.items() if plain(value) != value}
    secret = {name: {SIGNATURE: SECRET, "value": plain(value)} for name, value in marked.items()}
    return {**inputs, **secret, **found}


if __name__ == "__main__":
    main(DockerServicer())
