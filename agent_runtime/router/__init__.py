"""The router: the one address of a fleet, for clients of Ollama's API and of OpenAI's.

It is a proxy on asyncio protocols. Where client and engine speak the same dialect, the engine's bytes are
handed on as they were read; otherwise they are translated by the pure functions of ``dialects``.
"""
