"""Values as they travel between the engine and the plugin, and what of the SDK the plugin loads."""

import subprocess
import sys

import pulumi
import pytest

from components.local.provider.protocol import (
    UNKNOWN,
    has_unknown,
    properties_from_struct,
    struct_from_properties,
)

pytestmark = pytest.mark.unit


def test_values_come_back_as_they_went():
    properties = {
        "text": "a",
        "whole": 18101,
        "part": 0.5,
        "flag": False,
        "list": ["a", 1, {"deep": True}],
        "map": {"A": "b", "none": None},
    }

    returned = properties_from_struct(struct_from_properties(properties))

    assert returned == properties
    assert type(returned["whole"]) is int


def test_absent_values_are_left_out():
    assert properties_from_struct(struct_from_properties({"a": None, "b": 1})) == {"b": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(UNKNOWN, True), (["a", UNKNOWN], True), ({"a": {"b": [UNKNOWN]}}, True), (["a"], False), (5, False)],
)
def test_unknown_values_are_found_anywhere(value, expected):
    assert has_unknown(value) is expected


def test_the_sign_for_unknown_is_the_sdks():
    assert pulumi.runtime.rpc.UNKNOWN == UNKNOWN


def test_the_plugin_loads_the_protocol_and_not_the_sdk():
    code = (
        "from components.local.provider.main import skip_the_sdk; skip_the_sdk()\n"
        "import components.local.provider.serve, sys\n"
        "print(sorted(name for name in sys.modules if name.startswith(('pulumi.', 'httpx', 'pydantic'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "pulumi.runtime.proto.provider_pb2" in loaded
    assert "pulumi.resource" not in loaded
    assert "httpx" not in loaded
    assert "pydantic" not in loaded
