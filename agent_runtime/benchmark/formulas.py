"""What each number means. Printed with every report, since the same names mean different things elsewhere."""

from __future__ import annotations

from typing import Final

FORMULAS: Final = {
    "TTFT": "Time to first token: first piece with text, thought or a tool call, minus send. Opening a connection, "
    "where a new one is needed, is included. In an open loop, send is the moment at which the request was due.",
    "E2E": "End to end: last byte of the reply, minus send (as for TTFT).",
    "ITL": "Inter-token latency of a request: (E2E - TTFT) / (output tokens - 1), of two tokens or more: the first is "
    "not in it.",
    "longest gap": "The longest silence between two pieces of one stream. A piece may hold several tokens.",
    "output tokens/s of the system": "Output tokens of all whole replies / length of the level.",
    "output tokens/s of a user": "1 / median ITL.",
    "length of the level": "First send to last end; requests under way at the end are waited for.",
    "tokens": "The engine's own counts (OpenAI's usage, Ollama's eval_count). Where it gives none, none is made up.",
    "goodput": "Whole replies that keep every given limit / length of the level. A reply of one token has no ITL to "
    "miss.",
    "percentiles": "Straight lines between the two nearest requests (numpy's default), of whole replies alone.",
    "low, high": "95 % bootstrap interval (percentile method, computed exactly: no draws, no seed). Given where at "
    "least 10 requests lie beyond the percentile. Requests of a level are taken as independent of each other.",
    "dispatch delay": "Sent minus due, in an open loop: how late the generator was. It is part of TTFT and E2E.",
    "generator": "Event loop lag (how late it woke, looked at every 20 ms) and its process's share of a processor.",
    "memory, engine": "size and size_vram of Ollama's /api/ps.",
    "memory, RSS": "Most resident memory of the model's server processes on this machine and their children, looked "
    "at once a second.",
    "USD per million tokens": "By the hour: USD an hour of all replicas / 3600 * length of the level / tokens * "
    "1,000,000. By the token: what the replies cost at the model's price / tokens * 1,000,000. Of output tokens alone, "
    "and of all tokens.",
    "knee": "The level with the most power: output tokens/s of the system / median E2E (Kleinrock, 1979). Beyond it, "
    "more load costs more latency than it brings throughput. Not marked where the last level has the most.",
    "engine's own rates": "Median of what llama.cpp (timings) and Ollama (durations) say of prefill and decoding, "
    "without queue and network.",
    "difference": "Bootstrap on the difference of the percentile (two-sided, computed exactly); errors by Fisher's "
    "exact test. All p-values of a comparison are corrected together after Holm; significant below 0.05.",
}
"""Name -> meaning."""
