"""One llama.cpp server in one process: the ``llamacpp`` engine of the local target.

Run as ``python -m components.local.llamacpp_server``. llama.cpp comes in the wheel of ``xllamacpp``, so a
machine needs no compiler and no binary of its own. The process serves OpenAI's API together with
``/health``, ``/props``, ``/slots`` and ``/metrics``, and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from components.local.llamacpp_settings import add_options, apply

XLLAMACPP_HINT = "pip install 'paddock[llamacpp]'"


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the options are those that :mod:`components.local.commands` writes."""
    parser = argparse.ArgumentParser(prog="llamacpp_server", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="the GGUF file to serve")
    parser.add_argument("--model", required=True, help="the name the server gives itself")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, default=4096, help="tokens that one request may use")
    parser.add_argument("--parallel", type=int, default=1, help="requests computed at the same time")
    parser.add_argument("--chat-template", default="", help="a Jinja template in place of the file's own")
    parser.add_argument("--stop", action="append", default=[], help="ends a reply where the request names no stop")
    parser.add_argument("--embedding", action="store_true", help="serve embeddings in place of text")
    parser.add_argument("--lora", action="append", default=[], type=Path, help="a LoRA adapter, for requests to name")
    add_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Returns the process's exit code."""
    arguments = parse_arguments(argv)
    try:
        # Compiled and without type stubs.
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        print(f"xllamacpp is not installed in {sys.prefix}. fix: {XLLAMACPP_HINT}", file=sys.stderr)  # noqa: T201
        return 2
    if not arguments.weights.is_file():
        print(f"no weights at {arguments.weights}. fix: run `paddock up` again to make them", file=sys.stderr)  # noqa: T201
        return 2
    for path in arguments.lora:
        if not path.is_file():
            print(f"no adapter at {path}. fix: put it back, or correct its source", file=sys.stderr)  # noqa: T201
            return 2

    params = xllamacpp.CommonParams()
    params.model.path = str(arguments.weights)
    params.model_alias = {arguments.model}
    params.hostnames = [arguments.host]
    params.port = arguments.port
    # llama.cpp divides n_ctx among its slots; here the promise is per request.
    params.n_ctx = arguments.context * arguments.parallel
    params.n_parallel = arguments.parallel
    params.endpoint_metrics = True
    # A page and open CORS would let any web page that the user visits talk to the model.
    params.ui = False
    params.cors_origins = ""
    params.use_jinja = True
    params.embedding = arguments.embedding
    apply(arguments, params, xllamacpp)
    if arguments.lora:
        # A request says which of them work in it, and how strongly. Loaded at full strength they would work in all.
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in arguments.lora]
        # What llama.cpp keeps of prompts that have left their slot does not tell which adapter they were computed with.
        params.cache_ram_mib = 0
    if arguments.chat_template:
        params.chat_template = arguments.chat_template
    if arguments.stop:
        params.antiprompt = arguments.stop

    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server = xllamacpp.Server(params)  # returns when the weights are loaded and the port answers
    except Exception as error:  # llama.cpp says no more than this; its own log stands above
        print(f"llama.cpp could not serve {arguments.weights}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{arguments.model} answers on {server.listening_address}", flush=True)  # noqa: T201
    stopped.wait()
    del server  # joins llama.cpp's threads, so that nothing dies in the middle of a write
    return 0


if __name__ == "__main__":
    sys.exit(main())
