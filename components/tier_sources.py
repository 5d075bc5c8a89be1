"""What the tiers beyond the fleet are read from as a stack goes up: another stack's outputs, and keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pulumi
from pydantic import SecretStr

from components.tiers import SECRET_NAMES
from fleet_spec.contract import FleetContract
from fleet_spec.errors import PaddockError
from fleet_spec.governance_spec import TiersSpec

T = TypeVar("T")
ROUTER_KEY = "router"
"""What the router's key is called in the output ``fleetSecrets``."""


class OtherStackError(PaddockError):
    """A stack that is a tier of this one does not tell what is needed of it."""


@dataclass(frozen=True)
class TierSources:
    """What was found."""

    other: pulumi.Output[FleetContract] | None
    """The contract of the stack that is the cloud tier; None where none is."""
    keys: Mapping[str, pulumi.Output[str]]
    """The tiers' keys, secret, by the name of the router's file for each."""


def read_tiers(spec: TiersSpec, parent: pulumi.Resource) -> TierSources:
    """Read what the tiers of a stack need.

    The key of a stack that is the cloud tier is the config's ``apiKey``, else the one in its output ``fleetSecrets``.
    """
    other: pulumi.Output[FleetContract] | None = None
    keys: dict[str, pulumi.Output[str]] = {}
    if spec.cloud is not None:
        if spec.cloud.api_key is not None:
            keys[SECRET_NAMES["cloud"]] = _secret(spec.cloud.api_key)
        if spec.cloud.stack is not None:
            stack = spec.cloud.stack
            reference = pulumi.StackReference("cloud-tier", stack, opts=pulumi.ResourceOptions(parent=parent))
            other = reference.get_output("fleet").apply(plainly(lambda found: _contract(stack, found)))
            if spec.cloud.api_key is None:
                secrets = reference.get_output("fleetSecrets")
                keys[SECRET_NAMES["cloud"]] = pulumi.Output.secret(
                    secrets.apply(plainly(lambda all_: _key(stack, all_)))
                )
    if spec.commercial is not None:
        keys[SECRET_NAMES["commercial"]] = _secret(spec.commercial.api_key)
    return TierSources(other, keys)


def plainly(work: Callable[[Any], T]) -> Callable[[Any], T]:
    """Work for ``apply`` whose mistakes of the config the engine shows as their text, with no traceback."""

    def told(value: Any) -> T:
        try:
            return work(value)
        except PaddockError as error:
            raise pulumi.RunError(str(error)) from None

    return told


def _secret(value: SecretStr) -> pulumi.Output[str]:
    return pulumi.Output.secret(value.get_secret_value())


def _contract(stack: str, found: object) -> FleetContract:
    if not isinstance(found, dict):
        raise OtherStackError(
            f"tiers.cloud.stack: {stack!r} has no output 'fleet'. fix: bring it up first, or name another stack"
        )
    # The engine's protocol has one kind of number: 1 comes as 1.0.
    whole = json.loads(json.dumps(found), parse_float=_number)
    return FleetContract.from_mapping(whole, f"the output `fleet` of stack {stack!r}")


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _key(stack: str, found: object) -> str:
    key = cast("dict[str, Any]", found).get(ROUTER_KEY) if isinstance(found, dict) else None
    if not isinstance(key, str):
        raise OtherStackError(
            f"tiers.cloud.stack: {stack!r} gives no key of its router. "
            "fix: pulumi config set --secret --path tiers.cloud.apiKey"
        )
    return key
