"""Which tiers may answer a request, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect, RequestError
from agent_runtime.router.fleet_state import ModelState
from agent_runtime.router.wishes import Wishes
from fleet_spec.contract import FleetContract
from fleet_spec.governance_spec import Priority, RoutingSpec, Tier

Kind = Literal["only", "routine", "complex", "private", "pinned"]
"""What settled the order, in a word."""

BYTES_PER_TOKEN: Final = 4
"""What a token of English text comes to; a body is larger than its text, which errs on the safe side."""


class Classify(Protocol):
    """Looks at a prompt."""

    slow: bool
    """Whether it takes milliseconds even for a short prompt, and is not to be asked in an event loop."""

    def prepare(self) -> None:
        """Load whatever takes long to load, which the first look does otherwise."""
        ...

    def classify(self, dialect: Dialect, body: Mapping[str, Any], *, declared_public: bool = False) -> Classification:
        """Classify a request's body; ``declared_public`` is believed of what nobody can read, such as pictures."""
        ...


SpendingRefusal = Callable[[Tier, str, Priority, str], str | None]
"""Why a tier may not be paid for a key's request of some priority to a model; None where it may."""


@dataclass(slots=True)
class Asking:
    """Who asks for what."""

    dialect: Dialect
    body: Mapping[str, Any]
    size_bytes: int
    key: str
    """The name of the caller's key."""
    key_private: bool
    """Whether everything that comes with this key is private."""
    priority: Priority
    wishes: Wishes
    seen: Classification | None = None
    """What a look at it has told already."""


@dataclass(slots=True)
class Order:
    """The models that may answer a request, the first choice first."""

    models: list[ModelState]
    kind: Kind
    reason: str
    """For people: which rule led here, and what it left out."""
    private: bool
    """Whether the request is pinned to the fleet. Only asked where it matters: False does not say that it is public."""


class Policy:
    """The rules of a contract."""

    def __init__(self, contract: FleetContract, classifier: Classify, refusal: SpendingRefusal) -> None:
        self.withdrawn = False
        """Whether other privacy rules are in force by now: what this has let out of the fleet, it no longer does."""
        self.problem: str | None = None
        """Why a prompt could not be looked at, and was taken to be private."""
        self._rules: RoutingSpec = contract.routing
        self._all_private = contract.privacy.default == "private"
        self.slow = classifier.slow
        """Whether a look at a prompt is for a thread, however short it is."""
        self._classifier = classifier
        self._refusal = refusal

    def order(self, asking: Asking, tiers: Mapping[Tier, ModelState], usable: Callable[[ModelState], bool]) -> Order:
        """Put the models that could answer into the order in which they are asked.

        Args:
            asking: The request.
            tiers: What could answer it, by tier.
            usable: Whether a model can be reached at the moment.

        Raises:
            RequestError: 503 the request is private, or pinned, and nothing there can take it; 429 nothing else
                than money speaks against every tier that is left.
        """
        wishes = asking.wishes
        if len(tiers) == 1 and "local" in tiers and wishes.tier in (None, "local"):
            return Order([tiers["local"]], "only", "", private=False)
        seen = self._look(asking)
        if seen.private:
            return self._private_order(tiers, wishes, seen)
        if wishes.tier is not None:
            return self._pinned_order(asking, tiers, wishes.tier)
        return self._by_rules(asking, tiers, usable, seen)

    def look(self, dialect: Dialect, body: Mapping[str, Any], wishes: Wishes) -> Classification:
        """Look at a prompt. It takes time in proportion to its length: what is long is looked at in a thread."""
        try:
            return self._classifier.classify(dialect, body, declared_public=wishes.private is False)
        except RecursionError:
            raise  # it is the request's fault, and told to its client
        except Exception as error:  # whatever is wrong with a detector, what it could not look at does not leave
            # The error's own text could hold a part of the prompt.
            self.problem = f"a prompt could not be looked at ({type(error).__name__}) and was taken to be private"
            return Classification(private=True, complex=False, reasons=("no detector could look at it",))

    def _by_rules(
        self,
        asking: Asking,
        tiers: Mapping[Tier, ModelState],
        usable: Callable[[ModelState], bool],
        seen: Classification,
    ) -> Order:
        kind: Kind = "complex" if seen.complex else "routine"
        left: list[ModelState] = []
        left_out: list[str] = []
        money_only = True
        for tier in self._rules.complex if seen.complex else self._rules.routine:
            model = tiers.get(tier)
            if model is None:
                continue
            refused = self._too_dear(asking, model)
            if refused is not None:
                left_out.append(f"{tier}: {refused}")
            elif not usable(model):
                left_out.append(f"{tier}: cannot be reached now")
                money_only = False
            else:
                left.append(model)
        if not left:
            code = "budget_exceeded" if money_only else "model_unreachable"
            reasons = "; ".join(left_out) or f"the order for {kind} requests names none of: {', '.join(tiers)}"
            raise RequestError(429 if money_only and left_out else 503, f"no tier can answer now: {reasons}", code=code)
        why = ", ".join(reason.removeprefix(f"{kind}: ") for reason in seen.reasons)
        reason = "; ".join([f"{kind}: {why}" if why else kind, *left_out])
        return Order(_large_enough_first(left, asking.size_bytes), kind, reason, private=False)

    def _too_dear(self, asking: Asking, model: ModelState) -> str | None:
        """Why a model may not be paid for."""
        return None if model.tier == "local" else self._refusal(model.tier, asking.key, asking.priority, model.name)

    def _look(self, asking: Asking) -> Classification:
        """What is known of a request, and looked up only as far as it has not been said."""
        said = _said_private(asking, all_private=self._all_private)
        if said:
            return Classification(private=True, complex=False, reasons=(said,))
        found = asking.seen or self.look(asking.dialect, asking.body, asking.wishes)
        if not found.private and asking.wishes.complex is not None:
            return Classification(private=False, complex=asking.wishes.complex, reasons=("the client says so",))
        return found

    @staticmethod
    def _private_order(tiers: Mapping[Tier, ModelState], wishes: Wishes, seen: Classification) -> Order:
        found = [reason.removeprefix("private: ") for reason in seen.reasons if not reason.startswith("complex: ")]
        why = ", ".join(found) or "by a detector"
        if wishes.tier not in (None, "local"):
            raise RequestError(
                403,
                f"the request is private ({why}) and stays in the fleet; X-Paddock-Tier asks for {wishes.tier}",
                code="private_prompt",
            )
        local = tiers.get("local")
        if local is None:
            raise RequestError(
                503,
                f"the request is private ({why}), and no model of the fleet itself answers to this name",
                code="private_prompt",
            )
        return Order([local], "private", f"private: {why}", private=True)

    def _pinned_order(self, asking: Asking, tiers: Mapping[Tier, ModelState], tier: Tier) -> Order:
        model = tiers.get(tier)
        if model is None:
            there = ", ".join(tiers)
            raise RequestError(
                400, f"X-Paddock-Tier asks for {tier}; this model is answered by: {there}", param="model"
            )
        refused = self._too_dear(asking, model)
        if refused is not None:
            raise RequestError(429, f"{tier}: {refused}", code="budget_exceeded")
        return Order([model], "pinned", f"pinned to {tier}", private=False)


def _said_private(asking: Asking, *, all_private: bool) -> str:
    """Who said, without a look at the prompt, that it is private."""
    if all_private:
        return "everything is, by privacy.default"
    if asking.key_private:
        return "everything of this key is"
    if asking.wishes.private:
        return "the client says so"
    return ""


def _large_enough_first(models: list[ModelState], size_bytes: int) -> list[ModelState]:
    """Those whose context surely has room for the prompt before those that may be too small for it."""
    tokens = size_bytes / BYTES_PER_TOKEN
    return sorted(models, key=lambda model: model.entry.context_length < tokens)
