"""The FleetSpec of the stack that the program runs for."""

from __future__ import annotations

import pulumi
from pulumi.runtime import config

from fleet_spec.loading import from_pulumi_config, load_spec
from fleet_spec.spec import FleetSpec


def load_stack_spec() -> FleetSpec:
    """Validate the config that the engine handed to this program.

    Raises:
        SpecError: with every mistake in it.
    """
    namespace = pulumi.get_project()
    values: dict[str, str] = {**config.get_config_env(), **config.CONFIG.get()}
    secret_keys = {key.removeprefix(f"{namespace}:") for key in values if config.is_config_secret(key)}
    return load_spec(
        from_pulumi_config(values, namespace),
        source=f"Pulumi.{pulumi.get_stack()}.yaml",
        secret_keys=secret_keys,
    )
