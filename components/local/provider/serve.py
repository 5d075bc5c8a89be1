"""The plugin's server: which resource types there are, and how long it lives."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from components.local.provider.file import FileType
from components.local.provider.ollama_model import OllamaModelType
from components.local.provider.process import ProcessType
from components.local.provider.protocol import provider_pb2_grpc
from components.local.provider.random_key import RandomKeyType
from components.local.provider.servicer import CHANNEL_OPTIONS, Servicer
from components.local.provider.weights import WeightsType

VERSION = "0.1.0"
_MAX_CALLS = 256
"""More than the engine asks at once, so that its Cancel never waits behind model servers that load."""
_PARENT_POLL_SECONDS = 1.0
_CLEAN_UP_SECONDS = 4.0
"""The engine kills a plugin five seconds after it interrupted it."""


def serve() -> int:
    """Serve until the engine interrupts or is gone. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="pulumi-resource-paddock", description="Paddock's Pulumi provider plugin.")
    parser.add_argument("engine", nargs="?", default="", help="the address of the Pulumi engine")
    arguments, _ = parser.parse_known_args()  # the engine adds flags of its own for logs and traces

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    parent = os.getppid()

    servicer = Servicer(
        {
            "paddock:local:Weights": WeightsType(),
            "paddock:local:File": FileType(),
            "paddock:local:Process": ProcessType(),
            "paddock:local:OllamaModel": OllamaModelType(),
            "paddock:keys:RandomKey": RandomKeyType(),
        },
        arguments.engine,
        VERSION,
    )
    server = grpc.server(ThreadPoolExecutor(_MAX_CALLS), options=CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    # An engine that was killed interrupts nobody.
    while not stopped.wait(_PARENT_POLL_SECONDS) and os.getppid() == parent:
        pass
    servicer.cancel(_CLEAN_UP_SECONDS)
    server.stop(grace=None)
    return 0
