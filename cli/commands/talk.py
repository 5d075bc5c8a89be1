"""ask and chat: a question, or a conversation, through the fleet's router."""

from __future__ import annotations

import sys

from agent_runtime.chat_client import ChatClient, Message
from cli.commands.up import chat_model
from cli.console import note, write_json
from cli.contract import read_contract
from cli.router_access import chat_client
from fleet_spec.errors import BadInputError

CHAT_MAX_TOKENS = 512
KEPT_TURNS = 21
"""How many turns of a conversation are sent along; older ones are left out, and it is said.

An odd number, so that the first is the person's: some models' templates take no other."""


def ask(question: str, stack: str, *, model: str | None, max_tokens: int, temperature: float, as_json: bool) -> None:
    """Ask one question and print the answer as it comes."""
    text = _readable(sys.stdin.read() if question == "-" else question)
    if not text.strip():
        raise BadInputError('the question is empty. fix: paddock ask "What is the capital of Japan?"')
    client, name = _client(stack, model)
    if as_json:
        answer = client.ask(text, model=name, max_tokens=max_tokens, temperature=temperature)
        write_json({"question": text, **answer.to_mapping()})
        return
    messages: list[Message] = [{"role": "user", "content": text}]
    _print_reply(client, messages, name, max_tokens, temperature)


def chat(stack: str, *, model: str | None, system: str | None, temperature: float) -> None:
    """Hold a conversation until an empty line or the end of input."""
    client, name = _client(stack, model)
    note(f"talking to {name}; an empty line or Ctrl-D ends it")
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    turns: list[Message] = []
    shortened = False
    while (line := _read_line()).strip():
        turns.append({"role": "user", "content": _readable(line)})
        if len(turns) > KEPT_TURNS:
            if not shortened:
                note(f"only the last {KEPT_TURNS} turns are sent from here on")
            shortened = True
            del turns[:-KEPT_TURNS]
        text = _print_reply(client, [*head, *turns], name, CHAT_MAX_TOKENS, temperature, can_be_stopped=True)
        turns.append({"role": "assistant", "content": text})


def _client(stack: str, model: str | None) -> tuple[ChatClient, str]:
    contract = read_contract(stack)
    name = model or chat_model(contract)
    if name is None:
        raise BadInputError(f"stack {stack!r} has no model that chats. fix: name one with --model")
    return chat_client(contract), name


def _readable(text: str) -> str:
    """The text, or a refusal of one that was not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(f"the question is not UTF-8 at character {error.start + 1}. fix: convert it") from error
    return text


def _print_reply(
    client: ChatClient,
    messages: list[Message],
    model: str,
    max_tokens: int,
    temperature: float,
    *,
    can_be_stopped: bool = False,
) -> str:
    """Print a reply as it comes, and give its text: what came of it where Ctrl-C may, and did, stop it."""
    reply = client.stream(messages, model=model, max_tokens=max_tokens, temperature=temperature)
    blank = True
    try:
        for piece in reply:
            # Models like to begin with a blank; nobody likes to read it.
            shown = piece.lstrip() if blank else piece
            blank = blank and not shown
            sys.stdout.write(shown)
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not can_be_stopped:
            raise
        reply.close()
        note("\n(stopped)")
        return reply.text
    sys.stdout.write("\n")
    if reply.finish_reason == "length":
        note(f"(the reply was cut off at {reply.completion_tokens} tokens)")
    return reply.text


def _read_line() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        note("")
        return ""
