"""Everything in one call: the stack comes up, and what works on it is handed back, ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.agents.builder import OpenSourceAgentBuilder
from agent_runtime.agents.tools.catalogue import ToolSettings
from agent_runtime.cost_optimized import CostOptimizedLLMService
from cli.engine.operations import open_stack
from cli.fleet_access import fleet_of
from cli.preflight import check_stack
from cli.project import Project, find_project
from cli.router_access import require_way
from fleet_spec.contract import FleetContract

if TYPE_CHECKING:
    from agent_runtime.agents.teams.team import Team
    from agent_runtime.fleet import Fleet


@dataclass(frozen=True)
class ProductionInfrastructure:
    """A fleet that is up, and what works on it."""

    service: CostOptimizedLLMService
    """Completions at the least cost. Close it in the end."""
    research_team: Team
    builder: OpenSourceAgentBuilder
    """For further agents and teams."""
    fleet: Fleet
    contract: FleetContract
    changes: Mapping[str, int]
    """What bringing the stack up changed: operation -> how many resources."""

    @property
    def addresses(self) -> dict[str, Any]:
        """Where everything is: the router as this terminal reaches it, the web page, each model's endpoints."""
        return {
            "openai": self.fleet.openai_url,
            "ollama": self.fleet.url,
            "metrics": self.contract.router.metrics,
            "webUi": self.contract.web_ui.url if self.contract.web_ui is not None else None,
            "models": {
                name: {"model": model.model, "endpoints": [endpoint.url for endpoint in model.endpoints]}
                for name, model in self.contract.models.items()
            },
        }


def deploy_production_llm_infrastructure(
    stack: str = "dev",
    *,
    project: Project | None = None,
    settings: ToolSettings | None = None,
) -> ProductionInfrastructure:
    """Bring a stack up as its config says, and give what works on it.

    The models, their replicas and GPUs are the config's to say: this is ``paddock up --yes`` and then the service, the
    agents and the team, all of which find the fleet through the stack's outputs. Called again, it changes nothing that
    is as the config says.

    Args:
        stack: the stack's name: ``dev`` stands for ``Pulumi.dev.yaml``.
        project: where it is; the project that the current directory is in by default.
        settings: what the team's tools need: a folder of documents, hosts, a search server.

    Raises:
        SpecError: the stack's config has mistakes; nothing was touched.
        BadInputError: there is no such stack, or its router is on a cluster that has no way in.
        OperationError: the engine could not bring it up.
    """
    found = project or find_project()
    check_stack(found, stack)
    operator = open_stack(found, stack, create=True)
    outcome = operator.up()
    contract = FleetContract.from_mapping(operator.outputs()["fleet"], "the stack's output `fleet`")
    return connect(contract, outcome.changes, settings, found)


def connect(
    contract: FleetContract,
    changes: Mapping[str, int] | None = None,
    settings: ToolSettings | None = None,
    project: Project | None = None,
) -> ProductionInfrastructure:
    """What works on a fleet that is up.

    Raises:
        BadInputError: the router is on a cluster that has no way in, or no model chats.
    """
    fleet = fleet_of(contract.stack, contract, project)
    builder = OpenSourceAgentBuilder(fleet, settings=settings)
    return ProductionInfrastructure(
        service=CostOptimizedLLMService(require_way(contract), api_key=fleet.api_key),
        research_team=builder.create_multi_agent_system("research"),
        builder=builder,
        fleet=fleet,
        contract=contract,
        changes=dict(changes or {}),
    )
