"""A stand-in, for tests, for Pulumi's Kubernetes plugin, over the engine's own protocol.

The real ``pulumi-resource-kubernetes`` is a Go program that the engine downloads, which a test must not need. This one
does to a cluster what the real one does, as far as a fleet can tell: what replaces an object and what changes it in
place, an object with a fixed name deleted before it is replaced, a creation refused where the object exists unless
``upsertExistingObjects`` says otherwise, waiting with the timeouts that the program sets, an object that did not become
ready kept in the state as one to be repaired, and secrets that stay secrets.

The provider's ``kubeconfig`` names the file of a real API server (:mod:`tests.standins.kubernetes_api`). Without it
the cluster is the directory that PADDOCK_STANDIN_CLUSTER names (:mod:`tests.standins.kubernetes_directory`).

What it leaves out: automatic names, default namespaces, client-side apply, Patch resources, Helm, Kustomize and YAML,
imports, previews by dry run, and readiness of kinds that fleets have none of.
"""
# ruff: noqa: N802 - the protocol names the methods

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from components.local.provider.main import skip_the_sdk

skip_the_sdk()

import grpc  # noqa: E402
from google.protobuf import any_pb2, empty_pb2  # noqa: E402

from components.local.provider.protocol import (  # noqa: E402
    MAX_MESSAGE_BYTES,
    plugin_pb2,
    properties_from_struct,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
    struct_from_properties,
)
from tests.standins.kubernetes_api import ApiCluster  # noqa: E402
from tests.standins.kubernetes_directory import (  # noqa: E402
    DIRECTORY_VARIABLE,
    ClusterError,
    DirectoryCluster,
    Manifest,
    NotReadyError,
)
from tests.standins.kubernetes_properties import (  # noqa: E402
    SECRET,
    SIGNATURE,
    changed_paths,
    is_below,
    plain,
    projected,
    replacing_paths,
)

PARENT_POLL_SECONDS = 1.0
MAX_CALLS = 256
UPSERT_VARIABLE = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"


class _Status(grpc.Status):
    def __init__(self, details: str, trailing_metadata: Any) -> None:
        self.code = grpc.StatusCode.UNKNOWN
        self.details = details
        self.trailing_metadata = trailing_metadata


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    """Report what the cluster refused as its message alone."""

    @wraps(method)
    def answer(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except ClusterError as refused:
            context.abort(grpc.StatusCode.UNKNOWN, str(refused))

    return answer


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The plugin's side of the protocol."""

    cluster: ApiCluster | DirectoryCluster
    settings: dict[str, str]

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.34.2")

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema='{"name": "kubernetes"}')

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = (plain(properties_from_struct(one)) for one in (request.olds, request.news))
        response = provider_pb2.DiffResponse
        return response(changes=response.DIFF_NONE if old == new else response.DIFF_SOME)

    def Configure(self, request: Any, context: Any) -> Any:
        self.settings = plain(properties_from_struct(request.args))
        kubeconfig = self.settings.get("kubeconfig")
        if kubeconfig:
            self.cluster = ApiCluster(Path(kubeconfig))
        else:
            self.cluster = DirectoryCluster(Path(os.environ[DIRECTORY_VARIABLE]))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = (plain(properties_from_struct(one)) for one in (request.old_inputs, request.news))
        replacing = replacing_paths(new, self.settings)
        paths = list(changed_paths(old, new))
        replaced = [path for path in paths if any(is_below(path, root) for root in replacing)]
        response, kinds = provider_pb2.DiffResponse, provider_pb2.PropertyDiff
        same_name = all(old["metadata"].get(key) == new["metadata"].get(key) for key in ("name", "namespace"))
        return response(
            changes=response.DIFF_SOME if paths else response.DIFF_NONE,
            diffs=sorted({path[0] for path in paths}),
            replaces=sorted({path[0] for path in replaced}),
            # Two objects of one name cannot be there at once.
            deleteBeforeReplace=bool(replaced) and same_name,
            detailedDiff={
                ".".join(path): kinds(kind=kinds.UPDATE_REPLACE if path in replaced else kinds.UPDATE, inputDiff=True)
                for path in paths
            },
            hasDetailedDiff=True,
        )

    @_told
    def Create(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        inputs = properties_from_struct(request.properties)
        manifest = plain(inputs)
        upsert = "true" in (self.settings.get("upsertExistingObjects"), os.environ.get(UPSERT_VARIABLE))
        try:
            live = self.cluster.create(manifest, upsert=upsert, timeout_seconds=request.timeout)
        except NotReadyError as error:
            _abort_not_ready(context, _id(manifest), inputs, error)
        return provider_pb2.CreateResponse(id=_id(manifest), properties=_outputs(inputs, live))

    @_told
    def Update(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        inputs = properties_from_struct(request.news)
        try:
            live = self.cluster.update(
                plain(inputs), timeout_seconds=request.timeout, ignored=list(request.ignoreChanges)
            )
        except NotReadyError as error:
            _abort_not_ready(context, request.id, inputs, error)
        return provider_pb2.UpdateResponse(properties=_outputs(inputs, live))

    @_told
    def Read(self, request: Any, context: Any) -> Any:
        inputs = properties_from_struct(request.inputs)
        live = self.cluster.read(plain(properties_from_struct(request.properties)))
        if live is None:
            return provider_pb2.ReadResponse(id="")
        if live["kind"] != "Secret":
            inputs = projected(live, inputs)
        return provider_pb2.ReadResponse(
            id=request.id, properties=_outputs(inputs, live), inputs=struct_from_properties(inputs)
        )

    @_told
    def Delete(self, request: Any, context: Any) -> Any:
        manifest = plain(properties_from_struct(request.properties))
        self.cluster.delete(manifest, timeout_seconds=request.timeout)
        return empty_pb2.Empty()


def _id(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return "/".join(filter(None, [metadata.get("namespace"), metadata["name"]]))


def _outputs(inputs: Manifest, live: Manifest) -> Any:
    """The live object, with what is secret in it marked again."""
    outputs = dict(live)
    for name in ("data", "stringData"):
        if live["kind"] == "Secret" and name in live:
            outputs[name] = {SIGNATURE: SECRET, "value": live[name]}
    marked = {name: value for name, value in inputs.items() if value != plain(value)}
    return struct_from_properties({**outputs, **marked})


def _abort_not_ready(context: grpc.ServicerContext, object_id: str, inputs: Manifest, error: NotReadyError) -> NoReturn:
    properties = struct_from_properties(inputs)
    abort_not_ready(context, object_id, properties, properties, str(error))


def abort_not_ready(
    context: grpc.ServicerContext, object_id: str, properties: Any, inputs: Any, reason: str
) -> NoReturn:
    """Tell the engine that the object is there and does not work: it keeps it, and tries again at the next update."""
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(id=object_id, properties=properties, inputs=inputs, reasons=[reason])
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[detail])
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_Status(reason, trailing))
    raise AssertionError("abort_with_status always raises")


def main(servicer: provider_pb2_grpc.ResourceProviderServicer | None = None) -> None:
    """Serve until the engine says stop, or is gone."""
    engine_pid = os.getppid()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(MAX_CALLS), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer or Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not stop.wait(PARENT_POLL_SECONDS) and os.getppid() == engine_pid:
        pass
    server.stop(grace=None)
    sys.stdout.flush()
    # A call may still wait for something, and would keep an ordinary exit waiting for it.
    os._exit(0)


if __name__ == "__main__":
    main()
