"""A plan in words: the cells of its tables, and the lines below them, for a terminal, Markdown and HTML alike."""

from __future__ import annotations

from cli.plan.against import Change, Comparison
from cli.plan.build import Plan
from cli.plan.host_memory import HostMemory
from cli.plan.model_plan import ModelPlan
from fleet_spec.fleet_cost import PartCost
from fleet_spec.prices.unit_prices import KEYS
from fleet_spec.sizing.estimate import GIB

COLUMNS = ("model", "serves", "fits", "GPUs", "replicas", "storage", "USD/month", "expected")


def row(model: ModelPlan) -> list[str]:
    """A model's line."""
    occupation = model.occupation
    return [
        model.name,
        model.model,
        _fits(model),
        _gpus(model),
        _span(occupation.least_replicas, occupation.most_replicas),
        _gib(model),
        usd_span(model.cost.least_usd, model.cost.most_usd),
        usd(model.cost.expected_usd, unknown="-"),
    ]


def part_row(one: PartCost) -> list[str]:
    """The line of one of the fleet's own parts."""
    part = one.part
    return [
        part.name,
        "-",
        "-",
        "-",
        _span(part.least_replicas, part.most_replicas),
        f"{part.storage_gib:,.0f} GiB" if part.storage_gib else "-",
        usd_span(one.cost.least_usd, one.cost.most_usd),
        usd(one.cost.expected_usd, unknown="-"),
    ]


def rows(plan: Plan) -> list[list[str]]:
    """Every line but the total."""
    return [*(row(model) for model in plan.models), *(part_row(part) for part in plan.parts)]


def total_row(plan: Plan) -> list[str]:
    """The fleet's line."""
    own = sum(one.part.storage_gib for one in plan.parts)
    least, most = (own + sum(model.storage_gib[i] for model in plan.models) for i in (0, 1))
    gpus = _span(sum(model.least_gpus for model in plan.models), sum(model.most_gpus for model in plan.models))
    return [
        "total",
        f"{len(plan.models)} model{'s' if len(plan.models) != 1 else ''}",
        "no" if plan.misfits else "yes" if all(model.fits for model in plan.models) else "?",
        gpus if gpus != "0" else "-",
        _span(
            sum(model.occupation.least_replicas for model in plan.models),
            sum(model.occupation.most_replicas for model in plan.models),
        ),
        f"{_span(round(least), round(most))} GiB" if most else "-",
        usd_span(plan.total("least_usd"), plan.total("most_usd")),
        usd(plan.total("expected_usd"), unknown="-"),
    ]


def lines(plan: Plan) -> list[str]:
    """What a person should know beside the table: misfits, prices, tokens, budget."""
    said: list[str] = []
    for model in plan.misfits:
        problems = model.problems
        said += [f"{model.name} does not fit: {one.message}; fix: {one.fix}" for one in problems] or [
            f"{model.name} does not fit: it {model.size.reason}; "
            "fix: a larger machine, fewer replicas, or a smaller context or model"
        ]
        if model.cheapest is not None:
            said.append(
                f"{model.name}: {model.cheapest.gpus} x {model.cheapest.gpu} would hold it, "
                f"{model.cheapest.price.usd:.2f} USD an hour ({model.cheapest.price.source})"
            )
    for model in plan.models:
        if model.fits is None:
            said.append(f"{model.name}: whether it fits is not known: {model.size.reason}")
        if model.overloaded_hours:
            said.append(
                f"{model.name}: in {model.overloaded_hours} hours of the expected day more replicas are wanted than "
                f"{model.occupation.most_replicas}"
            )
        if model.occupation.price is None:
            said.append(f"{model.name}: no price is known of {model.gpu or 'its CPUs'}; set {_price_key(model)}")
    for part in plan.parts:
        if part.unpriced:
            keys = ", ".join(KEYS[unit] for unit in part.unpriced)
            said.append(f"{part.part.name}: no price is known of what it takes; set {keys}")
    if plan.host_memory is not None:
        said.append(host_line(plan.host_memory))
    said += prices(plan)
    said += [line for model in plan.models if (line := token_line(model)) is not None]
    if plan.has_outer_tiers:
        said.append(f"tiers beyond the fleet may spend {plan.budget_usd:,.0f} USD a month on top (budget.monthlyUsd)")
    if plan.ceiling_usd is not None:
        said.append(f"the ceiling is {plan.ceiling_usd:,.0f} USD a month (policies.monthlyUsd)")
    return said


def host_line(memory: HostMemory) -> str:
    """What a Docker host's main memory is asked for."""
    has = f"{memory.has_bytes / GIB:.1f}" if memory.has_bytes is not None else "an unknown number of"
    return (
        f"the host: models without a GPU need {memory.needed_bytes / GIB:.1f} of {has} GiB; "
        f"all containers may use {memory.limit_bytes / GIB:.1f} GiB"
    )


def prices(plan: Plan) -> list[str]:
    """Where the prices come from, each once, and how many of them nobody could look up."""
    found = plan.figures
    said = [
        f"price: {figure.source} ({figure.usd:.4g} {figure.unit}){'' if figure.confirmed else '; not confirmed'}"
        for figure in found
    ]
    doubtful = sum(not figure.confirmed for figure in found)
    if doubtful:
        said.append(f"{doubtful} of {len(found)} prices are not confirmed: name your own in prices before you decide")
    return said


def token_line(model: ModelPlan) -> str | None:
    """What a model's tokens cost beside a commercial API; None where that is not known."""
    tokens = model.tokens
    if tokens is None or not tokens.usd_per_million_when_busy:
        return None
    even = tokens.break_even_requests_per_hour
    until = f"cheaper from {even:,.0f} requests an hour" if even is not None else "never cheaper"
    own, there = tokens.usd_per_million_when_busy, tokens.commercial_usd_per_million
    return f"{model.name}: {own:.2f} USD a million tokens when busy, {tokens.commercial.name} {there:.2f}; {until}"


def change_line(change: Change) -> str:
    """What becomes of a model."""
    if change.kind != "changed":
        return f"{change.name}: {change.kind}"
    fields = ", ".join(
        f"{field} {_shown(before)} -> {_shown(after)}" for field, (before, after) in change.fields.items()
    )
    return f"{change.name}: {fields}"


def difference_line(comparison: Comparison) -> str | None:
    """What a month costs more or less than before; None where nothing of it is known."""
    if not comparison.differences_usd:
        return None
    least, most = (comparison.differences_usd.get(key) for key in ("leastUsd", "mostUsd"))
    return f"a month costs {_signed(least)} USD at least, {_signed(most)} USD at most"


def not_counted_lines(comparison: Comparison) -> list[str]:
    """What that leaves out."""
    return [f"not counted: {line}" for line in comparison.not_counted]


def usd(amount: float | None, *, unknown: str = "?") -> str:
    """An amount without cents: ``1,234``."""
    return unknown if amount is None else f"{amount:,.0f}"


def usd_span(least: float | None, most: float | None) -> str:
    """Two amounts as one: ``1,234 to 5,678``."""
    return usd(least) if usd(least) == usd(most) else f"{usd(least)} to {usd(most)}"


def _signed(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:+,.0f}"


def _fits(model: ModelPlan) -> str:
    return {True: "yes", False: "NO", None: "?"}[model.fits]


def _gpus(model: ModelPlan) -> str:
    if model.gpu is None:
        return "-"
    return f"{_span(model.least_gpus, model.most_gpus)} x {model.gpu}"


def _gib(model: ModelPlan) -> str:
    least, most = model.storage_gib
    return f"{_span(round(least), round(most))} GiB" if most else "-"


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least}-{most}"


def _price_key(model: ModelPlan) -> str:
    return f"prices.gpuHours.{model.gpu}" if model.gpu is not None else "prices.cpuUsdPerHour"


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:,g}" if isinstance(value, float) else str(value)
