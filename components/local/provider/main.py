"""The plugin's program: ``pulumi-resource-paddock ENGINE_ADDRESS``.

The engine starts it, reads the port it serves on from its standard output, and interrupts it at the end.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def skip_the_sdk() -> None:
    """Let ``pulumi.runtime.proto`` be imported without the SDK above it being loaded.

    A plugin answers the engine and needs of the SDK only the protocol, while ``import pulumi`` takes several
    times as long as everything else at its start. So the packages above are put in place unexecuted. For
    the plugin's own process only: nothing else in it may use the SDK.

    Raises:
        ImportError: the SDK is not installed.
    """
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"the Pulumi SDK is not installed in {sys.prefix}. fix: uv pip install pulumi")
    location = next(iter(found.submodule_search_locations))
    for name, path in (("pulumi", location), ("pulumi.runtime", f"{location}/runtime")):
        module = ModuleType(name)
        module.__path__ = [path]
        sys.modules[name] = module


def main() -> int:
    """Serve until the engine interrupts or is gone. Returns the exit code."""
    skip_the_sdk()
    from components.local.provider.serve import serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
