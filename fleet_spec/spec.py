"""FleetSpec: everything that a stack's config may say, typed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr

from fleet_spec.base import Identifier, SpecPart
from fleet_spec.catalogue import Catalogue, load_catalogue
from fleet_spec.catalogue_spec import CatalogueEntry
from fleet_spec.docker_spec import DockerSpec
from fleet_spec.experiment_spec import ExperimentSpec
from fleet_spec.governance_spec import BudgetSpec, PrivacySpec, RoutingSpec, TiersSpec
from fleet_spec.kubernetes_spec import AutoscalingSpec, KubernetesSpec, ValkeySpec
from fleet_spec.model_spec import ModelSpec
from fleet_spec.platform_spec import (
    GpuPoolSpec,
    IngressSpec,
    MonitoringSpec,
    RouterSpec,
    StorageSpec,
    WebUiSpec,
)
from fleet_spec.policy_spec import PoliciesSpec
from fleet_spec.price_spec import LoadSpec, PricesSpec

Target = Literal["local", "docker", "kubernetes"]


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _arms(value: Any) -> Any:
    return {value: 1.0} if isinstance(value, str) else value


ModelEntry = Annotated[ModelSpec, BeforeValidator(_model, json_schema_input_type=str | ModelSpec)]
"""A model, or just its catalogue name."""

Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Arms = Annotated[
    dict[Identifier, Weight], Field(min_length=1), BeforeValidator(_arms, json_schema_input_type=str | dict[str, float])
]
"""The models behind an alias and their weights, or the name of the one model."""


class FleetSpec(SpecPart):
    """A whole fleet. Load it with :func:`fleet_spec.loading.load_spec`, which finds every mistake at once."""

    target: Target = "local"
    """What runs the models: processes of this machine, containers of a host, or a cluster."""
    models: dict[Identifier, ModelEntry] = Field(min_length=1)
    """The fleet's models, by a name of your choice."""
    aliases: dict[Identifier, Arms] = Field(default_factory=dict)
    """Further names that clients may ask for, such as ``default`` or ``gpt-4o-mini``. One may have the name of
    a model that is none of its arms: it comes before that."""
    experiments: dict[Identifier, ExperimentSpec] = Field(default_factory=dict)
    """A/B tests over aliases that stand for several models: alias -> test. ``paddock ab`` writes them."""
    tiers: TiersSpec = TiersSpec()
    budget: BudgetSpec = BudgetSpec()
    privacy: PrivacySpec = PrivacySpec()
    routing: RoutingSpec = RoutingSpec()
    router: RouterSpec = RouterSpec()
    web_ui: WebUiSpec = WebUiSpec()
    gpu_pools: dict[Identifier, GpuPoolSpec] = Field(default_factory=dict)
    storage: StorageSpec = StorageSpec()
    autoscaling: AutoscalingSpec = AutoscalingSpec()
    valkey: ValkeySpec = ValkeySpec()
    kubernetes: KubernetesSpec = KubernetesSpec()
    docker: DockerSpec = DockerSpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    ingress: IngressSpec = IngressSpec()
    prices: PricesSpec = PricesSpec()
    load: LoadSpec = LoadSpec()
    policies: PoliciesSpec = PoliciesSpec()
    protect: bool | None = None
    """Whether this is production: what holds data is kept from deletion, and taking the stack down asks for its name.
    Default: true for a stack whose name is prod or production, or begins with prod-."""
    namespace: str = Field(default="llm-serving", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """The Kubernetes namespace that holds the fleet."""

    catalogues: tuple[CatalogueEntry, ...] = ()
    """Catalogues of your own, laid over the shipped one, the last on top: files, or addresses with their hash."""
    _catalogue: Catalogue | None = PrivateAttr(default=None)

    @property
    def catalogue(self) -> Catalogue:
        """The models that this stack knows: the shipped catalogue with the stack's own laid over it."""
        return self._catalogue or load_catalogue()

    def knowing(self, catalogue: Catalogue) -> Self:
        """This spec, with the catalogue of its stack."""
        self._catalogue = catalogue
        return self

    def protects(self, stack: str) -> bool:
        """Whether a stack of this config counts as production.

        Args:
            stack: Its name.
        """
        return is_production(stack, self.protect)


def is_production(stack: str, protect: bool | None) -> bool:
    """Whether a stack counts as production: by its config's ``protect``, else by its name.

    >>> is_production("prod-eu", None), is_production("dev", None), is_production("prod", False)
    (True, False, False)
    """
    if protect is not None:
        return protect
    return stack in ("prod", "production") or stack.startswith("prod-")
