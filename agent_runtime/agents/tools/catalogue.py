"""The tools by name, as a team's file and the command line name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.agents.functions import AnyTool, Tool
from agent_runtime.agents.tools.errors import ToolSetupError


@dataclass(frozen=True, kw_only=True)
class ToolSettings:
    """What the tools need to know."""

    folder: Path | None = None
    """Where documents are searched and read."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts whose pages may be fetched."""
    search_url: str | None = field(default=None)
    """The address of a SearXNG server; the environment's PADDOCK_SEARCH_URL by default."""
    allow_unisolated: bool = False
    """Whether code may run without isolation where this machine offers none."""


def make_tools(names: Sequence[str], settings: ToolSettings | None = None) -> list[AnyTool]:
    """The tools of these names.

    Raises:
        ToolSetupError: there is no such tool, it lacks a setting, or this machine cannot isolate the code that it runs.
            Names everything that is wrong.
    """
    given = settings or ToolSettings()
    tools: list[AnyTool] = []
    mistakes: list[str] = []
    for name in dict.fromkeys(names):
        make = _MAKERS.get(name)
        if make is None:
            mistakes.append(f"there is no tool {name!r}. fix: one of {', '.join(sorted(_MAKERS))}")
            continue
        try:
            tools.append(make(given))
        except ToolSetupError as error:
            mistakes.append(f"{name}: {error}")
    if mistakes:
        raise ToolSetupError("\n".join(mistakes))
    return tools


def tool_names() -> tuple[str, ...]:
    """Every tool there is."""
    return tuple(sorted(_MAKERS))


def research_tools(settings: ToolSettings) -> list[str]:
    """The names of the tools that find sources, of those that the settings are enough for."""
    names = ["search_documents", "read_document", "list_documents"] if settings.folder is not None else []
    names += ["http_fetch"] if settings.allowed_hosts else []
    return names + (["web_search"] if _can_search(settings) else [])


def _can_search(settings: ToolSettings) -> bool:
    from agent_runtime.agents.tools.web_search import WebSearch

    try:
        WebSearch(settings.search_url)
    except ToolSetupError:
        # A wrong address is a mistake to be told; none at all is a choice.
        return settings.search_url is not None
    return True


def _calculation(_: ToolSettings) -> AnyTool:
    from agent_runtime.agents.tools.calculation import calculation

    return calculation


def _code_analysis(_: ToolSettings) -> AnyTool:
    from agent_runtime.agents.tools.code_analysis import code_analysis

    return code_analysis


def _python(name: str) -> Callable[[ToolSettings], AnyTool]:
    def make(settings: ToolSettings) -> AnyTool:
        from agent_runtime.agents.tools.python_tools import PythonTools
        from agent_runtime.agents.tools.sandbox.run import Sandbox

        sandbox = Sandbox(allow_unisolated=settings.allow_unisolated)
        # Better now than as an answer to the model, which can do nothing about it.
        sandbox.check()
        tools = PythonTools(sandbox)
        return Tool(getattr(tools, name), timeout_seconds=tools.timeout_seconds)

    return make


def _folder(name: str) -> Callable[[ToolSettings], AnyTool]:
    def make(settings: ToolSettings) -> AnyTool:
        from agent_runtime.agents.tools.folder_search import FolderSearch

        if settings.folder is None:
            raise ToolSetupError("no folder is named. fix: name one with --sources")
        return getattr(FolderSearch(settings.folder), name)

    return make


def _http_fetch(settings: ToolSettings) -> AnyTool:
    from agent_runtime.agents.tools.http_fetch import WebPages

    return WebPages(settings.allowed_hosts).http_fetch


def _web_search(settings: ToolSettings) -> AnyTool:
    from agent_runtime.agents.tools.web_search import WebSearch

    return WebSearch(settings.search_url).web_search


_MAKERS: dict[str, Callable[[ToolSettings], AnyTool]] = {
    "calculation": _calculation,
    "code_analysis": _code_analysis,
    "run_python": _python("run_python"),
    "run_tests": _python("run_tests"),
    "search_documents": _folder("search_documents"),
    "read_document": _folder("read_document"),
    "list_documents": _folder("list_documents"),
    "http_fetch": _http_fetch,
    "web_search": _web_search,
}
