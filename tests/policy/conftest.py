"""The real engine, as the tests of the engine have it."""

from tests.engine.conftest import engine_binary, engine_environment, pulumi_in

__all__ = ["engine_binary", "engine_environment", "pulumi_in"]
