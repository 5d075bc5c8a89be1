"""What every target's contract says alike: all that the stack's config says of the fleet, whatever it runs on."""

from __future__ import annotations

from collections.abc import Mapping

from components.tiers import build_tiers
from fleet_spec.contract import Budget, FleetContract, ModelEndpoints, RouterAddresses, WebUi
from fleet_spec.spec import FleetSpec


def contract_of(
    spec: FleetSpec,
    stack: str,
    *,
    models: Mapping[str, ModelEndpoints],
    router: RouterAddresses,
    web_ui: WebUi | None,
    other: FleetContract | None,
    open_metrics: bool = False,
) -> FleetContract:
    """The contract of a fleet whose addresses its target has given.

    Args:
        spec: The stack's config.
        stack: The stack's name.
        models: The fleet's models and where they answer, by name.
        router: Where the router answers.
        web_ui: Where the chat page answers, if there is one.
        other: The contract of the stack that is the cloud tier, where one is.
        open_metrics: Whether metrics are read without a key beyond loopback.

    Raises:
        SpecError: that stack does not serve what the config asks of it, or its contract is needed and not there.
    """
    return FleetContract(
        stack=stack,
        target=spec.target,
        router=router,
        web_ui=web_ui,
        models=dict(models),
        aliases={alias: dict(arms) for alias, arms in spec.aliases.items()},
        experiments=dict(spec.experiments),
        tiers=build_tiers(spec.tiers, models, spec.aliases, spec.catalogue, other),
        budget=Budget(
            monthly_usd=spec.budget.monthly_usd, soft_limit=spec.budget.soft_limit, tiers=dict(spec.budget.tiers)
        ),
        privacy=spec.privacy,
        routing=spec.routing,
        keys=dict(spec.router.keys),
        open_metrics=open_metrics,
    )
