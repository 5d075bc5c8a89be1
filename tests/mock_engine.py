"""The Pulumi engine, mocked: runs a program, records every resource, and keeps tests apart from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi.runtime
from pulumi.runtime import mocks
from pulumi.runtime import stack as runtime_stack

from fleet_spec.keys import new_key

BUILT_IMAGE = "registry.example.com/built@sha256:" + "cd" * 32
"""What every image that is built is called afterwards."""


@dataclass(frozen=True)
class Recorded:
    """One resource as the program registered it."""

    type: str
    name: str
    inputs: dict[str, Any]
    custom: bool


@dataclass
class Run:
    """What a program did."""

    resources: list[Recorded] = field(default_factory=list[Recorded])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """The stack's outputs; unknown ones, in a preview, are absent."""
    secret_outputs: set[str] = field(default_factory=set[str])
    requests: list[Any] = field(default_factory=list[Any])
    """The messages behind the resources, as the engine gets them: dependencies, timeouts and the like."""

    def of_type(self, type_token: str) -> dict[str, Recorded]:
        """Resources of a type by name."""
        return {resource.name: resource for resource in self.resources if resource.type == type_token}


class _Monitor(mocks.MockMonitor):
    """Keeps what the mocks do not show."""

    run: Run

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.run.requests.append(request)
        return super().RegisterResource(request)


class _Mocks(mocks.Mocks):
    def __init__(
        self,
        run: Run,
        preview: bool,
        stacks: Mapping[str, Mapping[str, Any]],
        container_exit: tuple[int, str],
    ) -> None:
        self._run = run
        self._preview = preview
        self._stacks = stacks
        self._container_exit = container_exit
        self._ports = iter(range(18100, 18999))

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program called {args.token}, which it should not")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self._run.resources.append(Recorded(args.typ, args.name, dict(args.inputs), bool(args.custom)))
        if args.typ == "pulumi:pulumi:StackReference" and args.inputs["name"] in self._stacks:
            outputs = dict(self._stacks[args.inputs["name"]])
            hidden = [name for name in outputs if name == "fleetSecrets"]
            return args.name, {**args.inputs, "outputs": outputs, "secretOutputNames": hidden}
        if self._preview:
            return "", dict(args.inputs)
        return f"{args.name}-id", {**args.inputs, **self._made_up(args)}

    def _made_up(self, args: mocks.MockResourceArgs) -> dict[str, Any]:
        """What the provider plugin would find out."""
        if args.typ == "paddock:local:Process":
            port = int(args.inputs.get("port") or 0) or next(self._ports)
            return {"port": port, "url": f"http://127.0.0.1:{port}", "pid": 4242, "running": True}
        if args.typ == "paddock:local:Weights":
            return {"path": args.inputs.get("path") or f"/cache/{args.inputs['fileName']}"}
        if args.typ == "docker-build:index:Image":
            return {"ref": BUILT_IMAGE, "contextHash": "abcd"}
        if args.typ == "docker:index/remoteImage:RemoteImage":
            return {"imageId": f"{args.name}-image-id"}
        if args.typ == "docker:index/container:Container":
            code, logs = self._container_exit
            return {"exitCode": code, "containerLogs": logs}
        if args.typ == "paddock:keys:RandomKey":
            return {"key": new_key()}
        return {}


def run_program(
    program: Callable[[], None],
    *,
    preview: bool = False,
    config: dict[str, str] | None = None,
    stack: str = "dev",
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    container_exit: tuple[int, str] = (0, ""),
) -> Run:
    """Run a Pulumi program to its end under the mocked engine.

    Args:
        program: What to run.
        preview: As a preview: what only an `up` finds out stays unknown.
        config: The stack's config, keys with their namespaces.
        stack: The stack's name.
        stacks: Outputs of other stacks, by name, for references to them. Those of any other stack are unknown.
        container_exit: How Docker containers that have something to do end: exit code, and what they said.

    Each run has an event loop of its own and leaves no option, export or task behind.
    """
    run = Run()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # The mocks want a loop in each worker thread, and would make one there that nobody closes.
    worker_loops: list[asyncio.AbstractEventLoop] = []

    def give_loop() -> None:
        worker_loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(worker_loops[-1])

    workers = ThreadPoolExecutor(8, initializer=give_loop)
    loop.set_default_executor(workers)
    pulumi.runtime.settings.reset_options()
    try:
        told = _Mocks(run, preview, stacks or {}, container_exit)
        monitor = _Monitor(told)
        monitor.run = run
        mocks.set_mocks(told, project="paddock", stack=stack, preview=preview, monitor=monitor)
        pulumi.runtime.set_all_config(config or {})

        async def body() -> None:
            root = pulumi.runtime.get_root_resource()
            assert root is not None, "set_mocks makes one"
            await runtime_stack.run_pulumi_func(program)
            for name, value in root.outputs.items():  # pyright: ignore[reportAttributeAccessIssue]
                output = pulumi.Output.from_input(value)
                if await output.is_secret():
                    run.secret_outputs.add(name)
                if await output.is_known():
                    run.outputs[name] = await output.future()

        loop.run_until_complete(body())
    finally:
        # The program's failure is raised; every task that waited for the same would tell it once more.
        loop.set_exception_handler(lambda *_: None)
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        # While the loop is still there: the runtime would make one more where it finds none.
        pulumi.runtime.settings.reset_options()
        pulumi.runtime.set_all_config({})
        workers.shutdown()
        for one in (*worker_loops, loop):
            one.close()
        asyncio.set_event_loop(None)
    return run
