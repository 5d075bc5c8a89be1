"""up: bring the stack up, say where everything is, and prove it with a question really answered."""

from __future__ import annotations

import time
from typing import Any

from agent_runtime.chat_client import Answer, ChatClient, ReplyError, RouterUnreachableError
from cli.commands.lifecycle import describe_changes, require_consent, require_terminal
from cli.console import Step, note, table, write, write_json
from cli.engine.operations import Outcome, open_stack
from cli.preflight import check_stack
from cli.project import command_name, find_project
from cli.router_access import chat_client, how_to_reach, router_url
from components.local import web_ui_package
from fleet_spec.contract import FleetContract

QUESTION = "What is the capital of Japan?"
FIRST_ANSWER_TRIES = 3


def run(stack: str, *, yes: bool, as_json: bool) -> None:
    """Bring a stack up."""
    project = find_project()
    spec = check_stack(project, stack)
    require_terminal(yes)
    operator = open_stack(project, stack, create=True)
    if not yes:
        operator.preview()
        require_consent(yes, f"Bring stack {stack!r} up?")
    if spec.target == "local" and spec.web_ui.enabled:
        provide_web_ui(yes)
    outcome = operator.up()
    contract = FleetContract.from_mapping(operator.outputs()["fleet"], "the stack's output `fleet`")
    answer = _answer(contract)
    if as_json:
        write_json(_document(outcome, contract, answer))
    else:
        _show(outcome, contract, answer)


def provide_web_ui(yes: bool) -> None:
    """Install the web UI where it is not: nobody gets that much without having said so."""
    if web_ui_package.is_installed():
        return
    what, size = f"open-webui {web_ui_package.VERSION}", web_ui_package.gigabytes(web_ui_package.SIZE_BYTES)
    note(f"webUi.enabled: {what} is not installed here; it takes {size} in {web_ui_package.environment_directory()}")
    require_consent(yes, f"Install {what} ({size})?")
    with Step(f"installing {what} ({size})") as step:
        web_ui_package.install(step.update)
        step.finish(f"installed {what}")


def _answer(contract: FleetContract) -> Answer | None:
    """An answer to the question; None where nothing chats, or nobody here reaches the router."""
    model = chat_model(contract)
    if model is None or router_url(contract) is None:
        return None
    try:
        return _first_answer(chat_client(contract), model)
    except RouterUnreachableError as error:
        if contract.target != "kubernetes":
            raise
        # A new name, certificate or load balancer takes its time, and the fleet itself is up.
        note(f"the router does not answer here yet: {error}")
        return None


def _first_answer(client: ChatClient, model: str) -> Answer:
    """Ask the question; where a machine that is busy starting things was too slow for it, a second and a third time."""
    for _ in range(FIRST_ANSWER_TRIES - 1):
        try:
            return client.ask(QUESTION, model=model, max_tokens=64)
        except (ReplyError, RouterUnreachableError) as error:
            note(f"no answer yet: {error}")
            time.sleep(1)
    return client.ask(QUESTION, model=model, max_tokens=64)


def chat_model(contract: FleetContract) -> str | None:
    """The name to ask where nobody named one: ``default``, else the first model that chats."""
    if "default" in contract.aliases:
        return "default"
    return next((name for name, model in contract.models.items() if "chat" in model.capabilities), None)


def _document(outcome: Outcome, contract: FleetContract, answer: Answer | None) -> dict[str, Any]:
    return {
        "stack": contract.stack,
        "changes": outcome.changes,
        "seconds": round(outcome.seconds, 3),
        "fleet": contract.to_mapping(),
        "answer": None if answer is None else {"question": QUESTION, **answer.to_mapping()},
    }


def _show(outcome: Outcome, contract: FleetContract, answer: Answer | None) -> None:
    if outcome.changes:
        note(f"changed: {describe_changes(outcome.changes)}")
    else:
        note("nothing changed: everything already was as the config says")
    write()
    rows = [
        [name, model.model, model.engine, endpoint.url]
        for name, model in contract.models.items()
        for endpoint in model.endpoints
    ]
    rows += [
        ["router", "OpenAI API", "", contract.router.openai],
        ["router", "Ollama API", "", contract.router.ollama],
        ["router", "metrics", "", contract.router.metrics],
        ["router", "page, in a browser", "", contract.router.external_url or contract.router.url],
    ]
    if contract.web_ui is not None:
        rows.append(["web UI", "open-webui", "", contract.web_ui.external_url or contract.web_ui.url])
    table(["name", "what", "engine", "address"], rows)
    if contract.aliases:
        write("aliases: " + ", ".join(f"{alias} -> {' | '.join(arms)}" for alias, arms in contract.aliases.items()))
    if answer is not None:
        write()
        write(f"asked {answer.model} through the router: {QUESTION}")
        write(f"answer: {answer.text.strip()}  ({answer.completion_tokens} tokens, {answer.seconds:.1f} s)")
    write()
    for index, line in enumerate(_next_steps(contract)):
        write(f"{'next:' if index == 0 else '     '} {line}")


def _next_steps(contract: FleetContract) -> list[str]:
    paddock, flag = command_name(), _stack_flag(contract.stack)
    url = router_url(contract)
    reached = [f"OPENAI_BASE_URL={url}/v1 OLLAMA_HOST={url}"] if url is not None else []
    return [
        *(how_to_reach(contract) if url is None else []),
        f'{paddock} ask "Who wrote Hamlet?"{flag}',
        f"{paddock} chat{flag}",
        *_web_ui_step(contract),
        f"{paddock} status{flag}",
        *reached,
        f"{paddock} destroy{flag}",
    ]


def _web_ui_step(contract: FleetContract) -> list[str]:
    page = contract.web_ui
    url = None if page is None else page.external_url or (page.url if contract.target != "kubernetes" else None)
    return [f"open {url} in a browser; the first to sign up there is its administrator"] if url is not None else []


def _stack_flag(stack: str) -> str:
    return "" if stack == "dev" else f" --stack {stack}"
