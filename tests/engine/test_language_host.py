"""The stand-in language host runs Python programs, and Python policy packs, for the real engine.

The tests of a whole fleet stand on it, so what they rely on is shown here with programs of a few lines.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import grpc
import psutil
import pytest
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

if TYPE_CHECKING:
    from tests.engine.conftest import Pulumi

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / "tests" / "standins" / "pulumi-language-python"
DEADLINE_SECONDS = 60.0

PROGRAM = """
    import os, sys
    import pulumi
    from words import GREETING

    class Thing(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("test:index:Thing", name)
            self.register_outputs({})

    thing = Thing("thing")
    print("said by the program")
    pulumi.export("greeting", f"{GREETING}, {pulumi.Config().require('name')}")
    pulumi.export("urn", thing.urn)
    pulumi.export("secret", pulumi.Config().require_secret("secret"))
    pulumi.export("importsFrom", sys.path[0])
    pulumi.export("worksIn", os.getcwd())
"""


def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds, and fail where it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def project(pulumi_in: Callable[[Path], Pulumi], tmp_path: Path) -> Pulumi:
    """A project with a stack: one component, outputs, and no provider."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
    pulumi = pulumi_in(directory)
    pulumi.write(main=PROGRAM, words='GREETING = "Hello"')
    pulumi.run("stack", "init", "dev")
    pulumi.run("config", "set", "name", "world")
    pulumi.run("config", "set", "--secret", "secret", "hush" + "-hush")
    return pulumi


def test_a_program_is_previewed_brought_up_and_destroyed(project: Pulumi) -> None:
    preview = project.run("preview")
    assert "test:index:Thing thing create" in preview
    assert "said by the program" in preview
    assert "2 to create" in preview

    assert "2 created" in project.run("up", "--yes")
    assert project.outputs() == {
        "greeting": "Hello, world",
        "urn": "urn:pulumi:dev::demo::test:index:Thing::thing",
        "secret": "[secret]",
        "importsFrom": str(project.directory),
        "worksIn": str(project.directory),
    }

    assert "2 unchanged" in project.run("up", "--yes")
    assert "2 deleted" in project.run("destroy", "--yes")


def test_each_run_imports_the_program_anew(project: Pulumi) -> None:
    project.run("up", "--yes", "--skip-preview")
    project.write(words='GREETING = "Good morning"')
    project.run("up", "--yes", "--skip-preview")
    assert project.outputs()["greeting"] == "Good morning, world"


@pytest.mark.parametrize(
    ("last_lines", "shown"),
    [
        ("raise pulumi.RunError('the cat sat on it')", "the cat sat on it"),
        (
            f"""
            sys.path.append({str(REPOSITORY)!r})
            from fleet_spec.errors import PaddockError
            raise PaddockError('there are no models')
            """,
            "there are no models",
        ),
    ],
    ids=["RunError", "PaddockError"],
)
def test_an_error_meant_for_people_fails_the_update_with_its_message_alone(
    project: Pulumi, last_lines: str, shown: str
) -> None:
    project.write(main=dedent(PROGRAM) + dedent(last_lines))
    said = project.run("up", "--yes", "--skip-preview", exit_code=1)
    assert f"error: {shown}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("last_line", "error"),
    [
        ("raise ValueError('two is not three')", "ValueError: two is not three"),
        ("thing.urn.apply(lambda urn: 1 / 0)", "ZeroDivisionError: division by zero"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
    ids=["in the program", "in an apply", "in an import"],
)
def test_any_other_error_fails_the_update_with_the_programs_own_traceback(
    project: Pulumi, last_line: str, error: str
) -> None:
    project.write(main=dedent(PROGRAM) + last_line)
    said = project.run("up", "--yes", "--skip-preview", exit_code=1)
    assert error in said
    assert last_line in said
    assert "language_host.py" not in said


def test_a_program_that_exits_with_a_code_fails_the_update(project: Pulumi) -> None:
    project.write(main=dedent(PROGRAM) + "raise SystemExit(3)")
    assert "non-zero exit code: 3" in project.run("up", "--yes", "--skip-preview", exit_code=1)


def test_ctrl_c_ends_an_update_and_leaves_a_state_that_the_next_one_can_use(project: Pulumi, tmp_path: Path) -> None:
    marker = tmp_path / "host.pid"
    busy = f"""
        import pathlib, time
        marker = pathlib.Path({str(marker)!r})
        marker.with_suffix(".part").write_text(str(os.getpid()))
        marker.with_suffix(".part").rename(marker)
        while True:
            time.sleep(0.02)
    """
    project.write(main=dedent(PROGRAM) + dedent(busy))
    update = project.start("up", "--yes", "--skip-preview")
    eventually(marker.exists)
    host = psutil.Process(int(marker.read_text()))
    # To the engine alone: a plugin has a process group of its own, which the terminal's Ctrl-C does not reach.
    update.send_signal(signal.SIGINT)
    said, _ = update.communicate(timeout=DEADLINE_SECONDS)
    assert update.returncode == 1
    assert "update canceled" in said
    assert "Traceback" not in said
    eventually(lambda: not host.is_running())

    project.write(main=PROGRAM)
    project.run("up", "--yes", "--skip-preview")


@pytest.mark.parametrize(("level", "exit_code"), [("ADVISORY", 0), ("MANDATORY", 1)])
def test_a_policy_pack_written_in_python_judges_a_preview(
    project: Pulumi, tmp_path: Path, level: str, exit_code: int
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(dedent(POLICY_PACK).replace("LEVEL", level))
    said = project.run("preview", "--policy-pack", str(pack), exit_code=exit_code)
    assert "things are not allowed here" in said


POLICY_PACK = """
    import sys
    from concurrent.futures import ThreadPoolExecutor
    import grpc
    from google.protobuf.empty_pb2 import Empty
    from pulumi.runtime.proto import analyzer_pb2 as pb, analyzer_pb2_grpc, plugin_pb2

    class Pack(analyzer_pb2_grpc.AnalyzerServicer):
        def GetPluginInfo(self, request, context):
            return plugin_pb2.PluginInfo(version="1.0.0")

        def GetAnalyzerInfo(self, request, context):
            policy = pb.PolicyInfo(name="no-things", description="No things.", enforcementLevel=pb.LEVEL)
            return pb.AnalyzerInfo(name="pack", version="1.0.0", policies=[policy])

        def Configure(self, request, context):
            return Empty()

        def Analyze(self, request, context):
            if request.type != "test:index:Thing":
                return pb.AnalyzeResponse()
            return pb.AnalyzeResponse(diagnostics=[pb.AnalyzeDiagnostic(
                policyName="no-things", policyPackName="pack", policyPackVersion="1.0.0", urn=request.urn,
                message="things are not allowed here", enforcementLevel=pb.LEVEL)])

        def AnalyzeStack(self, request, context):
            return pb.AnalyzeResponse()

    server = grpc.server(ThreadPoolExecutor())
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Pack(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
"""


@pytest.fixture
def host() -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    """A language host with no engine, and a client that speaks to it as the engine would."""
    environment = os.environ | {"PADDOCK_PYTHON": sys.executable}
    with subprocess.Popen([HOST, "127.0.0.1:1"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            yield language_pb2_grpc.LanguageRuntimeStub(channel)
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0


def plugin(directory: Path, program: str) -> language_pb2.RunPluginRequest:
    """A request to run ``program`` as a plugin."""
    (directory / "__main__.py").write_text(dedent(program))
    info = language_pb2.ProgramInfo(program_directory=str(directory), entry_point=".")
    return language_pb2.RunPluginRequest(
        info=info, pwd=str(directory), args=["first", "second"], env=["COLOUR=green=blue", f"PATH={os.defpath}"]
    )


def test_a_plugin_has_its_arguments_and_environment_and_is_heard_byte_for_byte(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    request = plugin(
        tmp_path,
        r"""
        import os, sys
        print(*sys.argv[1:], os.environ["COLOUR"], os.getcwd(), flush=True)
        sys.stderr.buffer.write(b"\xff not text \x00")
        sys.exit(7)
        """,
    )
    answers = list(host.RunPlugin(request))
    assert b"".join(answer.stdout for answer in answers) == f"first second green=blue {tmp_path}\n".encode()
    assert b"".join(answer.stderr for answer in answers) == b"\xff not text \x00"
    assert [answer.exitcode for answer in answers if answer.WhichOneof("output") == "exitcode"] == [7]
    assert answers[-1].WhichOneof("output") == "exitcode"


@pytest.mark.parametrize("program_ignores_sigterm", [False, True])
def test_a_plugin_ends_when_the_engine_hangs_up(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path, program_ignores_sigterm: bool
) -> None:
    request = plugin(
        tmp_path,
        f"""
        import os, signal, time
        if {program_ignores_sigterm}:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        while True:
            time.sleep(0.02)
        """,
    )
    call = host.RunPlugin(request)
    running = psutil.Process(int(next(call).stdout))
    call.cancel()
    eventually(lambda: not running.is_running())


def test_a_host_ends_when_its_engine_is_gone(tmp_path: Path) -> None:
    # What stands for the engine here starts the host, passes its process id on, and is gone without a word.
    engine = """
        import os, subprocess, sys
        host = subprocess.Popen([sys.argv[1], "127.0.0.1:1"], stdout=subprocess.PIPE)
        host.stdout.readline()
        print(host.pid, flush=True)
        os._exit(0)
    """
    environment = os.environ | {"PADDOCK_PYTHON": sys.executable}
    said = subprocess.check_output(
        [sys.executable, "-c", dedent(engine), HOST], env=environment, timeout=DEADLINE_SECONDS
    )
    pid = int(said)
    eventually(lambda: not psutil.pid_exists(pid))
