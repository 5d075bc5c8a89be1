"""Starting a supervised process and waiting until it answers."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from components.local.identity import RUN_VARIABLE
from components.local.ports import reachable_host
from components.local.processes import SUPERVISOR_MODULE, StopError, is_alive, stop
from components.local.records import LOG_NAME, RECORD_NAME, SUPERVISOR_LINE, ProcessRecord, read_record
from components.local.rotated_log import last_lines
from components.local.supervisor_spec import SupervisorSpec
from fleet_spec.errors import PaddockError

PORT_PLACEHOLDER = "{port}"
_LOG_LINES_IN_ERROR = 20
_POLL_SECONDS = 0.1
_HEALTH_TIMEOUT_SECONDS = 5.0
_PROJECT = Path(__file__).resolve().parents[2]

_INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
_INHERITED_PREFIXES = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "GGML_", "LLAMA_", "OMP_")


class StartError(PaddockError):
    """A process that did not start; the end of its log is in the text."""


class StartCancelledError(PaddockError):
    """The wait for a process was given up because the person asked for it."""


@dataclass(frozen=True)
class ProcessSpec:
    """What is to run and how to tell that it does."""

    name: str
    directory: Path
    command: tuple[str, ...]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Added to what every process inherits."""
    host: str = "127.0.0.1"
    health_path: str = "/"
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 10.0
    restart_key: str = ""

    @property
    def url(self) -> str:
        """Where this machine reaches the process."""
        host = reachable_host(self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def hash(self) -> str:
        """SHA-256 over everything that makes a restart necessary when it changes."""
        data = asdict(self) | {"directory": str(self.directory)}
        del data["start_timeout_seconds"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    @property
    def log_file(self) -> Path:
        """The current log."""
        return self.directory / LOG_NAME


def inherited_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the caller's environment that every process gets.

    A chosen few, so that a process does not depend on the shell that happened to run `up`, and so that
    what only Pulumi should know, its passphrase above all, stays with Pulumi.
    """
    return {
        name: value for name, value in environment.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }


def start(spec: ProcessSpec) -> ProcessRecord:
    """Start a supervisor for ``spec``. The process runs, and need not answer yet, when this returns.

    Raises:
        StartError: the supervisor did not come up.
    """
    token = secrets.token_hex(16)

    def fill(text: str) -> str:
        return text.replace(PORT_PLACEHOLDER, str(spec.port))

    told = SupervisorSpec(
        name=spec.name,
        directory=str(spec.directory),
        command=[fill(item) for item in spec.command],
        environment=inherited_environment(os.environ)
        | {name: fill(value) for name, value in spec.environment.items()}
        | {RUN_VARIABLE: token},
        port=spec.port,
        spec_hash=spec.hash,
        token=token,
        stop_timeout_seconds=spec.stop_timeout_seconds,
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", SUPERVISOR_MODULE, str(spec.directory)],
            input=told.to_json(),
            capture_output=True,
            cwd=_PROJECT,  # where Python finds the module, installed or not
            start_new_session=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"the supervisor of {spec.name!r} did not start: {error}") from error
    record = read_record(spec.directory)
    if done.returncode != 0 or record is None or record.token != token:
        reason = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise StartError(f"the supervisor of {spec.name!r} did not start: {reason}")
    return record


def start_and_wait(
    spec: ProcessSpec, *, progress: Callable[[str], None], cancelled: Callable[[], bool]
) -> ProcessRecord:
    """Start a process and wait until it answers; stop it again where it does not.

    Args:
        spec: What to run.
        progress: Told about once a second what is being waited for.
        cancelled: Asked all the time whether to give up.

    Raises:
        StartError: it ended, or did not answer in time. Nothing of it runs any more.
        StartCancelledError: ``cancelled`` said so. Nothing of it runs any more.
    """
    log_start = spec.log_file.stat().st_size if spec.log_file.exists() else 0
    record = start(spec)
    try:
        return _wait_until_healthy(spec, log_start, progress, cancelled)
    except PaddockError as error:
        try:
            stop(record, spec.stop_timeout_seconds)
        except StopError as more:
            raise StartError(f"{error}\n{more}") from error
        (spec.directory / RECORD_NAME).unlink(missing_ok=True)
        raise


def is_healthy(spec: ProcessSpec, timeout_seconds: float = _HEALTH_TIMEOUT_SECONDS) -> bool:
    """Whether the health path answers 200 now."""
    connection = http.client.HTTPConnection(reachable_host(spec.host), spec.port, timeout=timeout_seconds)
    try:
        connection.request("GET", spec.health_path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait_until_healthy(
    spec: ProcessSpec, log_start: int, progress: Callable[[str], None], cancelled: Callable[[], bool]
) -> ProcessRecord:
    started = time.monotonic()
    next_word = started + 1.0
    while True:
        record = read_record(spec.directory)
        if record is None or not record.supervisor.is_alive:
            raise StartError(_with_log(spec, log_start, f"the supervisor of {spec.name!r} ended"))
        # A program that ends while it starts would end again: say so now, not after the time limit.
        if record.last_exit is not None:
            text = f"{spec.name!r} ended with {record.last_exit} before it answered"
            raise StartError(_with_log(spec, log_start, text))
        if is_alive(record) and is_healthy(spec):
            return record
        now = time.monotonic()
        if cancelled():
            raise StartCancelledError(
                f"cancelled while waiting for {spec.name!r}; it was stopped. The next `paddock up` starts it."
            )
        if now - started > spec.start_timeout_seconds:
            text = (
                f"{spec.name!r} did not answer GET {spec.url}{spec.health_path} with 200 within "
                f"{spec.start_timeout_seconds:g} s"
            )
            raise StartError(_with_log(spec, log_start, text))
        if now >= next_word:
            next_word = now + 1.0
            lines = last_lines(spec.log_file, 1, from_byte=log_start)
            detail = f", last log line: {lines[0][:120]}" if lines else ", nothing in its log yet"
            progress(f"waiting for {spec.name}: {now - started:.0f} s{detail}")
        time.sleep(_POLL_SECONDS)


def _with_log(spec: ProcessSpec, log_start: int, text: str) -> str:
    lines = last_lines(spec.log_file, _LOG_LINES_IN_ERROR + 1, from_byte=log_start)
    # That the supervisor would start it again is no longer true.
    lines = [line for line in lines if not line.startswith(SUPERVISOR_LINE)][-_LOG_LINES_IN_ERROR:]
    if not lines:
        return f"{text}. It wrote nothing to its log, {spec.log_file}"
    return "\n".join([f"{text}. The end of its log, {spec.log_file}:", *(f"  {line}" for line in lines)])
