"""The FleetSpec of the stack that the program runs for."""

from __future__ import annotations

from collections.abc import Collection

import pulumi
from pulumi.runtime import config

from fleet_spec.catalogue_notes import deprecation_notes
from fleet_spec.loading import from_pulumi_config, load_spec
from fleet_spec.spec import FleetSpec


def load_stack_spec() -> FleetSpec:
    """Validate the config that the engine handed to this program.

    Warns of models that are deprecated, and of secrets that stand in the config in plain text.

    Raises:
        SpecError: with every mistake in it.
    """
    namespace = pulumi.get_project()
    file = f"Pulumi.{pulumi.get_stack()}.yaml"
    values: dict[str, str] = {**config.get_config_env(), **config.CONFIG.get()}
    secret_keys = {key.removeprefix(f"{namespace}:") for key in values if config.is_config_secret(key)}
    # Nothing is fetched here: the policies, which were told of this config before, know what was there then.
    raw = from_pulumi_config(values, namespace)
    spec = load_spec(raw, source=file, secret_keys=secret_keys)
    for note in deprecation_notes(spec):
        pulumi.log.warn(note)
    for path in plain_secrets(spec, secret_keys):
        pulumi.log.warn(
            f"{path} stands in plain text in {file}, and so in the stack's history. "
            f"fix: pulumi config set --secret --path {namespace}:{path}"
        )
    return spec


def plain_secrets(spec: FleetSpec, secret_keys: Collection[str]) -> list[str]:
    """The secrets of a config, as dotted paths, whose top-level key is not encrypted, in whole or in part."""
    cloud, commercial, build = spec.tiers.cloud, spec.tiers.commercial, spec.router.build
    given = {
        "tiers.cloud.apiKey": cloud is not None and cloud.api_key is not None,
        "tiers.commercial.apiKey": commercial is not None,
        "router.build.login.password": build is not None and build.login is not None,
    }
    return [path for path, there in given.items() if there and path.partition(".")[0] not in secret_keys]
