"""The two languages of clients and engines, Ollama's and OpenAI's, as pure functions on dicts and bytes.

Nothing here opens a connection or knows an event loop, so all of it can be tested without either.
"""
