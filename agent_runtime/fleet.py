"""A fleet as an application sees it: found through its contract, asked by name, capability or use case.

::

    fleet = Fleet.from_stack("dev")
    fleet.openai().chat.completions.create(model=fleet.model(capability="chat").name, messages=[...])

The contract is read again when its file changes, so that a program that runs for long follows the fleet. Keys are
looked up when they are needed and never shown.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from agent_runtime.authorization import KEY_FILE_VARIABLE, KEY_VARIABLE
from agent_runtime.discovery import ContractFile
from agent_runtime.finding import (
    ROUTER_URL_VARIABLE,
    contract_of_stack,
    find_source,
    stack_key_file,
)
from agent_runtime.fleet_models import FleetModel, candidates, named
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from pydantic_ai.models.openai import OpenAIChatModel

    from agent_runtime.ollama_client import AsyncOllamaLLMClient, OllamaLLMClient

NO_KEY = "none"
"""What the OpenAI SDK shows to a router that asks for no key: it insists on showing something."""
_ClientKey = tuple[str, str | None]


class Fleet:
    """A running fleet. Build with :meth:`from_stack`, :meth:`from_file` or :meth:`from_env`."""

    def __init__(
        self,
        contract: FleetContract,
        *,
        file: ContractFile | None = None,
        api_key: str | None = None,
        key_file: Path | None = None,
        inside_cluster: bool = False,
    ) -> None:
        """Use a contract that was read already.

        Args:
            contract: What the stack exports.
            file: Where it was read from, to be looked at again.
            api_key: What to show to the router; by default PADDOCK_API_KEY, else the content of a file.
            key_file: A file that holds the key; PADDOCK_API_KEY_FILE comes before it.
            inside_cluster: Whether this runs on the cluster that the fleet is on.
        """
        self._contract = contract
        self._file = file
        self._api_key = api_key
        self._key_file = key_file
        self._inside_cluster = inside_cluster
        self._async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_ClientKey, AsyncOpenAI]] = (
            weakref.WeakKeyDictionary()
        )
        self.problem: str | None = None
        """Why the contract's file, as it is now, cannot be used; the last good contract stays in force."""

    @classmethod
    def from_stack(cls, stack: str = "dev", *, project: Path | None = None, api_key: str | None = None) -> Self:
        """The fleet of a stack that is up.

        Args:
            stack: As for ``paddock up --stack``.
            project: The Pulumi project; by default the one that the current directory is in.
            api_key: As for the constructor.

        Raises:
            BadInputError: the stack is not up, or there is no such stack.
            ContractError: its contract cannot be read.
        """
        found = contract_of_stack(stack, project)
        key_file = stack_key_file(stack, project)
        if isinstance(found, Path):
            return cls.from_file(found, api_key=api_key, key_file=key_file)
        return cls(found, api_key=api_key, key_file=key_file)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        *,
        api_key: str | None = None,
        key_file: Path | None = None,
        inside_cluster: bool = False,
    ) -> Self:
        """The fleet whose contract is in a file, which is followed when it changes.

        Raises:
            BadInputError: there is no such file.
            ContractError: it holds no contract.
        """
        file = ContractFile(Path(path))
        return cls(file.load(), file=file, api_key=api_key, key_file=key_file, inside_cluster=inside_cluster)

    @classmethod
    def from_env(cls, *, api_key: str | None = None) -> Self:
        """The fleet that the environment names; inside a pod, the one whose contract is mounted.

        Looked for in this order: the contract itself in PADDOCK_FLEET_CONTRACT, its file in PADDOCK_FLEET, a stack's
        name in PADDOCK_STACK, and the file that Paddock's pods have at ``/etc/paddock/fleet/contract.json``.

        Raises:
            BadInputError: there is none of them.
            ContractError: what is there is no contract.
        """
        source = find_source()
        if source.stack is not None:
            return cls.from_stack(source.stack, api_key=api_key)
        if source.path is not None:
            return cls.from_file(source.path, api_key=api_key, inside_cluster=source.inside_cluster)
        return cls(FleetContract.parse(source.text or "", source.named), api_key=api_key)

    def __repr__(self) -> str:
        return f"Fleet(stack={self._contract.stack!r}, target={self._contract.target!r}, models={self.names})"

    @property
    def contract(self) -> FleetContract:
        """The contract as it is now."""
        change = self._file.poll() if self._file is not None else None
        if change is not None:
            self.problem = change.problem
            self._contract = change.contract or self._contract
        return self._contract

    @property
    def names(self) -> list[str]:
        """Everything that the router may be asked for: models and aliases."""
        return list(dict.fromkeys([*self._contract.models, *self._contract.aliases]))

    @property
    def url(self) -> str:
        """Where the router answers this program, no trailing slash.

        PADDOCK_ROUTER_URL comes before what the contract says.
        """
        named = os.environ.get(ROUTER_URL_VARIABLE)
        if named:
            return named.rstrip("/").removesuffix("/v1")
        router = self.contract.router
        if self._contract.target == "kubernetes" and not self._inside_cluster and router.external_url:
            return router.external_url
        return router.url

    @property
    def openai_url(self) -> str:
        """Base URL of the router's OpenAI API, for clients that are not made here."""
        return f"{self.url}/v1"

    @property
    def api_key(self) -> str | None:
        """What to show to the router; None where no key is at hand.

        Raises:
            BadInputError: PADDOCK_API_KEY_FILE names no file.
        """
        given = self._api_key or os.environ.get(KEY_VARIABLE)
        if given:
            return given
        named = os.environ.get(KEY_FILE_VARIABLE)
        path = Path(named) if named else self._key_file
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            if named:
                raise BadInputError(f"{KEY_FILE_VARIABLE} names {named!r}, where no file is. fix: unset it") from None
            return None

    def model(
        self, name: str | None = None, *, capability: str | None = None, use_case: str | None = None
    ) -> FleetModel:
        """A model by its name or alias, by what it can do, or by what it is good for.

        Without a name, the fleet's models that meet every condition are candidates; the one with the most parameters
        is given, because it answers best. Without any condition it is the alias ``default``, else a model that chats.

        Args:
            name: A model or an alias of the fleet, or a model's name in the catalogue.
            capability: Such as chat, tools, embedding, vision, thinking.
            use_case: Such as code or math: what the catalogue says that a model is good for.

        Raises:
            NoSuchModelError: the fleet has none. Says what it has.
            BadInputError: the catalogue knows no such use case.
        """
        contract = self.contract
        if name is not None:
            return named(contract, name)
        if capability is None and use_case is None:
            if "default" in contract.aliases:
                return named(contract, "default")
            capability = "chat"
        return candidates(contract, capability, use_case)[0]

    def openai(self, **options: Any) -> OpenAI:
        """A client of OpenAI's SDK for the router; ``options`` go to it as they are."""
        from openai import OpenAI

        from agent_runtime.transport import sync_client

        client = sync_client(self.url, trust_env=self._through_proxies)
        return OpenAI(base_url=self.openai_url, api_key=self.api_key or NO_KEY, http_client=client, **options)

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """As :meth:`openai`, for asynchronous code."""
        from openai import AsyncOpenAI

        from agent_runtime.transport import async_client

        client = async_client(self.url, trust_env=self._through_proxies)
        return AsyncOpenAI(base_url=self.openai_url, api_key=self.api_key or NO_KEY, http_client=client, **options)

    def ollama(self) -> OllamaLLMClient:
        """A client of the router's Ollama API."""
        from agent_runtime.ollama_client import OllamaLLMClient

        return OllamaLLMClient(self.url, api_key=self.api_key, through_proxies=self._through_proxies)

    def async_ollama(self) -> AsyncOllamaLLMClient:
        """As :meth:`ollama`, for asynchronous code."""
        from agent_runtime.ollama_client import AsyncOllamaLLMClient

        return AsyncOllamaLLMClient(self.url, api_key=self.api_key, through_proxies=self._through_proxies)

    def pydantic_ai_model(self, name: str | None = None) -> OpenAIChatModel:
        """A model of the fleet for pydantic-ai, and so for :class:`agent_runtime.agents.Agent`.

        Inside an event loop, its connections are kept for further models of that loop until :meth:`aclose`.

        Raises:
            NoSuchModelError: the fleet has none of that name.
        """
        from agent_runtime.agents.fleet_model import chat_model

        found = self.model(name)
        return chat_model(found.name, self._loop_client(), context_length=found.context_length)

    async def pull_missing(self, model: FleetModel) -> None:
        """Have an Ollama server of the fleet pull a model that it does not hold.

        Raises:
            OllamaError: the pull failed; an OllamaNotFoundError where no registry has the model.
        """
        from agent_runtime.ollama_client import AsyncOllamaLLMClient
        from agent_runtime.ollama_client.requests import holds

        if (url := self.direct_url(model)) is None:
            return
        async with AsyncOllamaLLMClient(url) as client:
            if not holds(await client.refresh(), model.model):
                async for _ in client.pull(model.model):
                    pass

    def direct_url(self, model: FleetModel) -> str | None:
        """An address of a model's own server, past the router; None where it is inside a cluster, or sleeps."""
        contract = self.contract
        if contract.target == "kubernetes" and not self._inside_cluster:
            return None
        names = [model.name, *contract.aliases.get(model.name, {})]
        endpoints = [one for name in names if name in contract.models for one in contract.models[name].endpoints]
        return endpoints[0].url if endpoints else None

    async def aclose(self) -> None:
        """Close the connections that models of the running event loop keep."""
        for client in self._async_clients.pop(asyncio.get_running_loop(), {}).values():
            await client.close()

    def _loop_client(self) -> AsyncOpenAI:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.async_openai()
        clients = self._async_clients.setdefault(loop, {})
        # A connection belongs to its loop; an address or a key may change under a program that runs for long.
        key = (self.url, self.api_key)
        if key not in clients:
            clients[key] = self.async_openai()
        return clients[key]

    @property
    def _through_proxies(self) -> bool:
        return self.url == self._contract.router.external_url
