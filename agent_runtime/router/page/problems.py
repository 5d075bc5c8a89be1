"""What is broken, and what to do about it: a pure function on what a look at the router found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

Level = Literal["error", "warning", "note"]
Problem = dict[str, str]
"""``level``, ``what`` is wrong, and the ``fix``."""

_ORDER: Final[tuple[Level, ...]] = ("error", "warning", "note")
_FEW_REQUESTS: Final = 5
_MANY_ERRORS: Final = 0.05
_START_AGAIN: Final = {
    "local": "`paddock status --stack {stack}` says what became of its process, `paddock up --stack {stack}` starts it "
    "again.",
    "docker": "`docker ps --all` shows its container, `docker logs` why it ended; `paddock up --stack {stack}` starts "
    "it again.",
    "kubernetes": "`kubectl get pods` shows its pod, `kubectl describe pod` and `kubectl logs` why it is not ready.",
}
_MORE_REPLICAS: Final = "Give it more replicas in the stack's config, then `paddock up --stack {stack}`."


def problems(
    models: Iterable[Mapping[str, Any]],
    *,
    stack: str,
    target: str,
    told: Iterable[str] = (),
    names: Iterable[Mapping[str, str]] = (),
    spending: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Everything that somebody should look at, the worst first.

    Args:
        models: As :func:`agent_runtime.router.page.look.models_shown` gives them.
        stack: The stack's name.
        target: Where it runs: local, docker, kubernetes.
        told: What the router itself says does not work; these texts say what to do themselves.
        names: Hosts that could not be looked up, with the problem.
        spending: The month so far, as ``Spending.to_mapping`` gives it.
    """
    found = [_problem("error", text, "") for text in told]
    found += [
        _problem("error", f"the name {name['host']} cannot be looked up: {name['problem']}", "Check it, and the DNS.")
        for name in names
    ]
    known = list(models)
    for model in known:
        found += _of_model(model, [other for other in known if other["name"] == model["name"]], stack, target)
    if spending is not None:
        found += _of_money(spending)
    return sorted(found, key=lambda one: _ORDER.index(one["level"]))  # pyright: ignore[reportArgumentType]


def _problem(level: Level, what: str, fix: str) -> Problem:
    return {"level": level, "what": what, "fix": fix}


def _of_model(
    model: Mapping[str, Any], tiers: Sequence[Mapping[str, Any]], stack: str, target: str
) -> Iterator[Problem]:
    name, endpoints = model["name"], model["endpoints"]
    label = f"model {name}" if model["tier"] == "local" else f"model {name} on the {model['tier']} tier"
    usable = [one for one in endpoints if _answers(one)]
    if model["asleep"]:
        return
    if not endpoints:
        yield _problem("error", f"{label} has no endpoint", f"`paddock up --stack {stack}` builds it.")
    elif not usable:
        others = [other["tier"] for other in tiers if other is not model and any(map(_answers, other["endpoints"]))]
        becomes = f"its requests go to: {', '.join(others)}" if others else "its requests are refused"
        yield _problem("error", f"no endpoint of {label} takes requests, and {becomes}", "")
    for endpoint in endpoints:
        yield from _of_endpoint(label, model["tier"], endpoint, stack, target)
    if model["waiting"]:
        yield _problem("warning", f"{model['waiting']} requests wait for {label}", _MORE_REPLICAS.format(stack=stack))
    many = model["errors"] >= _FEW_REQUESTS and (model["errorRate"] or 0) >= _MANY_ERRORS
    if many:
        yield _problem(
            "warning",
            f"{model['errorRate']:.0%} of the last minute's requests to {label} failed",
            "The router's log has a line for each, with the endpoint and the kind of failure.",
        )


def _of_endpoint(label: str, tier: str, endpoint: Mapping[str, Any], stack: str, target: str) -> Iterator[Problem]:
    url, why = endpoint["url"], endpoint["problem"] or "it does not answer"
    if endpoint["drained"]:
        yield _problem("note", f"{url} of {label} is drained by hand", "Put it back under Fleet when it is ready.")
    elif endpoint["health"] == "down":
        fix = (
            _START_AGAIN[target].format(stack=stack)
            if tier == "local"
            else f"Look whether {url} can be reached from here, and whether its key is still good."
        )
        yield _problem("warning", f"{url} of {label} is down: {why}", fix)
    elif endpoint["breaker"] == "open":
        fix = "The router tries it again by itself after a pause. The server's own log says why it failed."
        yield _problem("warning", f"{url} of {label} gets no requests for a while: {why}", fix)


def _answers(endpoint: Mapping[str, Any]) -> bool:
    return endpoint["health"] != "down" and endpoint["breaker"] != "open" and not endpoint["drained"]


def _of_money(spending: Mapping[str, Any]) -> Iterator[Problem]:
    state = spending["state"]
    limit = spending["monthlyUsd"]
    if state == "closed":
        yield _problem(
            "error",
            f"the budget of {limit:,.2f} USD for {spending['month']} is spent: paid tiers are closed",
            f"Raise budget.monthlyUsd in the stack's config, or wait until {spending['resetsAt']}.",
        )
    elif state == "soft":
        yield _problem(
            "warning",
            f"more than {spending['softLimit']:.0%} of the budget is spent: the commercial tier answers high priority",
            f"Raise budget.monthlyUsd in the stack's config, or wait until {spending['resetsAt']}.",
        )
    elif limit and spending["forecastUsd"] > limit:
        yield _problem(
            "warning",
            f"at this rate {spending['forecastUsd']:,.2f} USD will be spent by the month's end, of {limit:,.2f}",
            "paddock costs shows which key and which model spend it.",
        )
