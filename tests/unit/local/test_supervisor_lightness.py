"""There is one supervisor in memory for each replica: it loads nothing it does not need."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit


def test_the_supervisor_loads_no_framework():
    code = "import components.local.supervisor, sys; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    for heavy in ("pulumi", "pydantic", "grpc", "httpx", "asyncio", "logging", "subprocess"):
        assert f"'{heavy}'" not in loaded
