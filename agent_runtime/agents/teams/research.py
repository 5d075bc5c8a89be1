"""The research team: gathers with tools, analyses what was found, and writes an answer with sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.agents.teams.handoff import Section
from agent_runtime.agents.teams.records import Outcome, Source, StepRecord, ToolUse
from agent_runtime.agents.teams.sources import cited, numbered, sources_of, with_list
from agent_runtime.agents.tools.errors import ToolError

if TYPE_CHECKING:
    from agent_runtime.agents.teams.team_run import TeamRun
    from agent_runtime.agents.tools.catalogue import ToolSettings

GATHERER = (
    "You gather facts for a research team. Search with your tools, several times with different words, and read what "
    "looks useful. Then list what you found, one fact a line, with the place it is from. Report nothing that no tool "
    "told you, and say what you could not find."
)
GATHERER_WITHOUT_TOOLS = (
    "You gather facts for a research team. You have no tools to search with: list what you know about the question, "
    "one fact a line, and mark each as certain or uncertain."
)
ANALYZER = (
    "You analyse findings for a research team. Say what they establish, where they contradict each other, what is "
    "missing, and how sure one can be. Cite findings by their number, such as [1]. Do not add facts of your own."
)
SYNTHESIZER = (
    "You write the research team's answer. Answer the question first, then explain it in clear, lively language. "
    "Cite sources by their number, such as [1], right after what they support. Write nothing that the notes do not say."
)


def research_flow(settings: ToolSettings) -> Any:
    """The flow of a research team with these tools."""

    async def flow(run: TeamRun) -> Outcome:
        return await _research(run, settings)

    return flow


async def _research(run: TeamRun, settings: ToolSettings) -> Outcome:
    question = Section("Question", run.task, keep=True)
    gathered = await run.ask("gatherer", "gather facts", "Gather what is needed to answer the question.", [question])
    sources = sources_of(gathered.tools)
    if not sources and (settings.folder is not None or run.team.members["gatherer"].has_tools):
        # Small models often answer without a look. Then the question itself is searched for.
        searched = await run.do(
            "search for the question, because the gatherer found no source",
            {"question": run.task},
            lambda: _search(run.task, settings),
        )
        sources = tuple(Source(**one) for one in searched.data["sources"])
    found = Section("Findings" if sources else "Findings (no source was found)", numbered(sources))
    notes = Section("The gatherer's notes", gathered.output)
    analysis = await run.ask(
        "analyzer",
        "analyse the findings",
        "Analyse the findings with regard to the question.",
        [question, found, notes],
    )
    answer = await _written(run, [question, found, notes, Section("Analysis", analysis.output)], sources)
    return _outcome(answer, sources)


async def _written(run: TeamRun, sections: list[Section], sources: tuple[Source, ...]) -> StepRecord:
    """The answer; given back once where it cites what is not there, or nothing although there is something."""
    answer = await run.ask("synthesizer", "write the answer", "Write the answer to the question.", sections)
    if not sources or not run.rework_rounds:
        return answer
    wrong = [number for number in cited(answer.output) if not 1 <= number <= len(sources)]
    if cited(answer.output) and not wrong:
        return answer
    complaint = (
        f"it cites {', '.join(f'[{number}]' for number in wrong)}, and there are sources 1 to {len(sources)} only"
        if wrong
        else f"it cites no source; there are sources 1 to {len(sources)}"
    )
    draft = Section("Your draft", answer.output)
    again = await run.ask(
        "synthesizer",
        "put the citations right",
        f"Write the answer again: {complaint}. Cite by number, such as [1].",
        [*sections, draft],
    )
    return again if again.output else answer


def _outcome(answer: StepRecord, sources: tuple[Source, ...]) -> Outcome:
    if not answer.output:
        return Outcome("", False, "the synthesizer gave no answer", sources=sources)
    count = len([number for number in cited(answer.output) if 1 <= number <= len(sources)])
    summary = f"answered; sources cited: {count} of {len(sources)}" if sources else "answered, without any source"
    return Outcome(with_list(answer.output, sources), True, summary, sources=sources)


async def _search(question: str, settings: ToolSettings) -> tuple[str, dict[str, Any]]:
    """Search the folder and the web for the question's own words."""
    from dataclasses import asdict

    from agent_runtime.agents.tools.catalogue import research_tools

    uses: list[ToolUse] = []
    problems: list[str] = []
    names = research_tools(settings)
    if settings.folder is not None:
        from agent_runtime.agents.tools.folder_search import FolderSearch

        text = FolderSearch(settings.folder).search_documents(question)
        uses.append(ToolUse("search_documents", {"query": question}, text, False))
    if "web_search" in names:
        from agent_runtime.agents.tools.web_search import WebSearch

        try:
            text = await WebSearch(settings.search_url).web_search(question)
            uses.append(ToolUse("web_search", {"query": question}, text, False))
        except ToolError as error:
            problems.append(str(error))
    sources = sources_of(uses)
    found = "1 passage was found" if len(sources) == 1 else f"{len(sources)} passages were found"
    told = "\n".join([found, *(f"- {one.location}" for one in sources), *problems])
    return told, {"sources": [asdict(source) for source in sources]}
