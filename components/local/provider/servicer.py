"""Answers the engine: turns messages into calls of resource types, and errors into what a person reads."""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2

from components.local.provider.protocol import (
    MAX_MESSAGE_BYTES,
    UNKNOWN,
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    properties_from_struct,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
    struct_from_properties,
)
from components.local.provider.resource import PartialFailureError, ResourceType, Session
from fleet_spec.errors import PaddockError

_LOG_TIMEOUT_SECONDS = 5.0
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]


class _Status(grpc.Status):
    def __init__(self, code: grpc.StatusCode, details: str, trailing_metadata: Any = None) -> None:
        self.code = code
        self.details = details
        self.trailing_metadata = trailing_metadata


def _plain_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Report a failure as its message alone: what failed is on this machine, not in this program."""

    @functools.wraps(method)
    def answer(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            with self.working():
                return method(self, request, context)
        except PartialFailureError as error:
            _abort_partial(context, error)
        except (PaddockError, OSError) as error:
            # This code tells the engine that the resource is as it was.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except Exception as error:
            traceback.print_exc()  # to the engine's log of this plugin
            context.abort(grpc.StatusCode.UNKNOWN, f"a mistake in Paddock's provider, please report it: {error!r}")

    return answer


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The provider's side of the protocol. Calls come on many threads at once."""

    def __init__(self, types: Mapping[str, ResourceType], engine_address: str, version: str) -> None:
        """Make a servicer.

        Args:
            types: Resource types by token, such as ``paddock:local:Process``.
            engine_address: Where the engine takes log messages; empty where nobody does.
            version: The plugin's, as the engine shows it.
        """
        self._types = types
        self._version = version
        self.cancelled = threading.Event()
        self._busy = 0
        self._idle = threading.Condition()
        self._engine: Any = None
        if engine_address:
            channel = grpc.insecure_channel(engine_address, options=CHANNEL_OPTIONS)
            self._engine = engine_pb2_grpc.EngineStub(channel)

    @contextmanager
    def working(self) -> Generator[None]:
        """Count a call as under way."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def cancel(self, timeout_seconds: float) -> None:
        """Ask all calls to give up, and wait for them for a while."""
        self.cancelled.set()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout_seconds)

    # -- the protocol, in its own names ------------------------------------------------------------------

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        return plugin_pb2.PluginInfo(version=self._version)

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        return provider_pb2.ProviderHandshakeResponse()

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        return provider_pb2.GetSchemaResponse(schema='{"name": "paddock"}')

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        # Secrets arrive plain, and the engine marks outputs that were secret as inputs: nothing here can
        # forget to.
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        self.cancelled.set()
        return empty_pb2.Empty()

    @_plain_errors
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        inputs, failures = self._type(request.urn).check(
            properties_from_struct(request.news), properties_from_struct(request.olds)
        )
        return provider_pb2.CheckResponse(
            inputs=struct_from_properties(inputs),
            failures=[provider_pb2.CheckFailure(property=one.property_name, reason=one.reason) for one in failures],
        )

    @_plain_errors
    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        changes = self._type(request.urn).diff(
            properties_from_struct(request.olds),
            properties_from_struct(request.old_inputs),
            properties_from_struct(request.news),
        )
        changes = {name: change for name, change in changes.items() if name not in request.ignoreChanges}
        kinds = {"update": provider_pb2.PropertyDiff.UPDATE, "replace": provider_pb2.PropertyDiff.UPDATE_REPLACE}
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changes else response.DIFF_NONE,
            diffs=sorted(changes),
            replaces=sorted(name for name, change in changes.items() if change.kind == "replace"),
            # The old one holds the name, the port and the memory that the new one needs.
            deleteBeforeReplace=True,
            detailedDiff={
                name: provider_pb2.PropertyDiff(kind=kinds[change.kind], inputDiff=change.of_input)
                for name, change in changes.items()
            },
            hasDetailedDiff=True,
        )

    @_plain_errors
    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        inputs = properties_from_struct(request.properties)
        kind = self._type(request.urn)
        if request.preview:
            outputs = kind.preview(inputs, None)
            return provider_pb2.CreateResponse(id="", properties=struct_from_properties(outputs))
        resource_id, outputs = kind.create(inputs, self._session(request.urn))
        return provider_pb2.CreateResponse(id=resource_id, properties=struct_from_properties(outputs))

    @_plain_errors
    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        state = properties_from_struct(request.properties)
        if not state:
            raise PaddockError(f"{request.id!r} cannot be imported: Paddock's local resources are only ever created.")
        outputs = self._type(request.urn).read(request.id, state, self._session(request.urn))
        if outputs is None:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(
            id=request.id, properties=struct_from_properties(outputs), inputs=request.inputs
        )

    @_plain_errors
    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        state = properties_from_struct(request.olds)
        inputs = properties_from_struct(request.news)
        kind = self._type(request.urn)
        if request.preview:
            outputs = kind.preview(inputs, state)
        else:
            outputs = kind.update(request.id, state, inputs, self._session(request.urn))
        return provider_pb2.UpdateResponse(properties=struct_from_properties(outputs))

    @_plain_errors
    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002, D102
        state = properties_from_struct(request.properties)
        self._type(request.urn).delete(request.id, state, self._session(request.urn))
        return empty_pb2.Empty()

    def _type(self, urn: str) -> ResourceType:
        # urn:pulumi:STACK::PROJECT::PARENT_TYPE$TYPE::NAME
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self._types:
            raise PaddockError(f"{token} is no resource of this provider. It has: {', '.join(sorted(self._types))}")
        return self._types[token]

    def _session(self, urn: str) -> Session:
        return Session(
            status=lambda text: self._log(urn, text, engine_pb2.INFO, ephemeral=True),
            warn=lambda text: self._log(urn, text, engine_pb2.WARNING, ephemeral=False),
            cancelled=self.cancelled,
        )

    def _log(self, urn: str, text: str, severity: Any, *, ephemeral: bool) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=text, urn=urn, ephemeral=ephemeral)
        try:
            self._engine.Log(request, timeout=_LOG_TIMEOUT_SECONDS)
        except grpc.RpcError:  # an engine that ended has nobody to show it to
            return


def _abort_partial(context: grpc.ServicerContext, error: PartialFailureError) -> NoReturn:
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=error.resource_id, properties=struct_from_properties(error.outputs), reasons=[str(error)]
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, str(error), trailing))
    raise AssertionError("abort_with_status always raises")


__all__ = ["CHANNEL_OPTIONS", "UNKNOWN", "Servicer"]
