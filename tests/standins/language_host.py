"""A stand-in, for tests, for Pulumi's Python language host: what lets a plain ``pulumi up`` run this kind of project.

The real ``pulumi-language-python`` is a Go program that comes with the official CLI and with nothing else, so where
the engine was built from source there is none. This one speaks the same protocol (pulumirpc.LanguageRuntime). A program
is run as the real one runs it: its folder is first on the import path, the working directory and the arguments are its
own, what it prints is shown, and an error that leaves it fails the update with a diagnostic.

What it leaves out:

- Virtual environments. ``runtime.options`` is not read: programs and plugins run in this file's interpreter.
- Installing. InstallDependencies succeeds and does nothing.
- Looking for plugins. It names none as required, so the engine installs none ahead of time.
- A process for each program. A program runs inside this one. Imports are fresh all the same: the engine starts a host
  for each operation, and another for the preview before it.
- Code generation, templates, debuggers, type checkers, linking of packages.

It is kinder than the real one in one point: a ``PaddockError`` that leaves the program is shown as its message alone.
The real one does that for ``pulumi.RunError`` only, and shows a traceback for the rest.
"""
# ruff: noqa: N802 - the protocol names the methods

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import queue
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import IO

import grpc
import pulumi
from pulumi.automation._server import LanguageServer
from pulumi.runtime import reset_options, run_in_stack, set_all_config
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import language_pb2 as pb
from pulumi.runtime.proto import language_pb2_grpc

PARENT_POLL_SECONDS = 1.0
"""How often to see whether the engine still lives. One that was killed cannot say goodbye."""
STOP_GRACE_SECONDS = 2.0
"""How long a plugin may take to end after SIGTERM before it is killed."""


class LanguageHost(LanguageServer):
    """The SDK's own server for inline programs, with the program read from the project's folder instead."""

    def __init__(self, engine_address: str) -> None:
        super().__init__(program=lambda: None)
        self._engine_address = engine_address
        self._plugins: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: pb.LanguageHandshakeRequest, context: grpc.ServicerContext):
        return pb.LanguageHandshakeResponse()

    def RuntimeOptionsPrompts(self, request: pb.RuntimeOptionsRequest, context: grpc.ServicerContext):
        return pb.RuntimeOptionsResponse()

    def Template(self, request: pb.TemplateRequest, context: grpc.ServicerContext):
        return pb.TemplateResponse()

    def InstallDependencies(
        self, request: pb.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.InstallDependenciesResponse]:
        yield pb.InstallDependenciesResponse(stdout=b"stand-in language host: nothing is installed\n")

    def GetProgramDependencies(self, request: pb.GetProgramDependenciesRequest, context: grpc.ServicerContext):
        return pb.GetProgramDependenciesResponse(
            dependencies=[
                pb.DependencyInfo(name=found.metadata["Name"], version=found.version)
                for found in metadata.distributions()
            ]
        )

    def Run(self, request: pb.RunRequest, context: grpc.ServicerContext) -> pb.RunResponse:
        # The SDK keeps what belongs to one deployment in context variables.
        return contextvars.copy_context().run(self._run, request)

    def _run(self, request: pb.RunRequest) -> pb.RunResponse:
        # A program that fails leaves futures that nobody awaits, and asyncio would tell the user about each.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        reset_options(
            project=request.project,
            stack=request.stack,
            root_directory=request.info.root_directory,
            organization=request.organization or "organization",
            parallel=request.parallel,
            preview=request.dryRun,
            monitor_address=request.monitor_address,
            engine_address=self._engine_address,
        )
        set_all_config(dict(request.config), list(request.configSecretKeys))
        program = Path(request.info.program_directory, request.info.entry_point)
        os.chdir(request.pwd)
        sys.argv = [str(program), *request.args]

        def run() -> None:
            # Given a folder, runpy runs the __main__.py in it, with the folder first on the import path.
            runpy.run_path(str(program), run_name="__main__")

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.set_default_executor(ThreadPoolExecutor(max_workers=max(request.parallel, 1) * 4))
        try:
            loop.run_until_complete(run_in_stack(run))
        except BaseException as error:
            return _failure(error, program)
        finally:
            _close(loop)
            sys.stdout.flush()
            sys.stderr.flush()
        return pb.RunResponse()

    def RunPlugin(self, request: pb.RunPluginRequest, context: grpc.ServicerContext) -> Iterator[pb.RunPluginResponse]:
        """Run a plugin written in Python, such as a policy pack, and pass on what it says until it ends."""
        process = subprocess.Popen(
            [sys.executable, "-u", request.info.program_directory, *request.args],
            cwd=request.pwd,
            env=dict(entry.split("=", 1) for entry in request.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._plugins.add(process)
        # Called when the engine hangs up, and harmlessly also when the plugin has ended by itself.
        if not context.add_callback(lambda: self._end(process)):
            self._end(process)  # The engine has hung up already.

        said: queue.SimpleQueue[pb.RunPluginResponse | None] = queue.SimpleQueue()
        assert process.stdout is not None
        assert process.stderr is not None
        for stream, answer in (
            (process.stdout, lambda chunk: pb.RunPluginResponse(stdout=chunk)),
            (process.stderr, lambda chunk: pb.RunPluginResponse(stderr=chunk)),
        ):
            threading.Thread(target=_pass_on, args=(stream, answer, said), daemon=True).start()
        open_streams = 2
        while open_streams:
            response = said.get()
            if response is None:
                open_streams -= 1
            else:
                yield response
        yield pb.RunPluginResponse(exitcode=process.wait())

    def end_plugins(self) -> None:
        """Stop every plugin that still runs."""
        for process in list(self._plugins):
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=STOP_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._plugins.discard(process)


def _failure(error: BaseException, program: Path) -> pb.RunResponse:
    """Tell the engine what ended the program. ``bail`` says that the user has been told already."""
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return pb.RunResponse()
        return pb.RunResponse(error=f"Program exited with non-zero exit code: {error.code}")
    if isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE:  # pyright: ignore[reportAttributeAccessIssue]
        return pb.RunResponse(bail=True)  # The engine has ended the deployment, and said why.
    # Looked up, not imported: the program's own copy of the class is the one that it raised.
    paddock_error = getattr(sys.modules.get("fleet_spec.errors"), "PaddockError", ())
    if isinstance(error, (pulumi.RunError, paddock_error)):
        message = str(error)
    else:
        message = "Program failed with an unhandled exception:\n" + _user_traceback(error, program)
    try:
        pulumi.log.error(message)
    except grpc.RpcError:
        return pb.RunResponse(error=message)
    return pb.RunResponse(bail=True)


def _user_traceback(error: BaseException, program: Path) -> str:
    """The traceback from the program's own first line on: what runs before that is this host and the SDK."""
    main = program if program.suffix else program / "__main__.py"
    frames = traceback.extract_tb(error.__traceback__)
    for index, frame in enumerate(frames):
        if Path(frame.filename).resolve() == main.resolve():
            return "".join(traceback.format_exception(error, limit=index - len(frames)))
    return "".join(traceback.format_exception(error))


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on the loop, so that nothing is destroyed while pending, and close it."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            loop.run_until_complete(task)
    loop.close()


def _pass_on(
    stream: IO[bytes],
    answer: Callable[[bytes], pb.RunPluginResponse],
    said: queue.SimpleQueue[pb.RunPluginResponse | None],
) -> None:
    """Put what arrives on ``stream`` into ``said`` as it arrives, then None at its end."""
    while chunk := os.read(stream.fileno(), 65536):
        said.put(answer(chunk))
    said.put(None)


def main() -> None:
    """Serve until the engine says stop, or is gone."""
    engine_pid = os.getppid()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    # Two at least: a policy pack is one call that lasts as long as the program that it watches.
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=_GRPC_CHANNEL_OPTIONS)
    host = LanguageHost(engine_address=sys.argv[-1])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)

    while not stop.wait(PARENT_POLL_SECONDS) and os.getppid() == engine_pid:
        pass
    server.stop(grace=None)
    host.end_plugins()
    sys.stdout.flush()
    sys.stderr.flush()
    # A program may still be at work in a thread, and would keep an ordinary exit waiting for it.
    os._exit(0)


if __name__ == "__main__":
    main()
