"""What Prometheus reads of the cache."""

from __future__ import annotations

from agent_runtime.router.answers.cache import AnswerCache
from agent_runtime.router.exposition import Family, family


def cache_families(cache: AnswerCache) -> list[Family]:
    """All that is counted of a cache: that of this process."""
    store = cache.store
    by_model = (
        ("paddock_cache_hits_total", "Requests answered with an answer given before.", cache.hits),
        ("paddock_cache_misses_total", "Requests that could have been, had it been there.", cache.misses),
    )
    counters = (
        ("paddock_cache_stored_total", "Answers taken into the cache.", cache.kept),
        ("paddock_cache_evictions_total", "Answers dropped to make room.", store.evicted),
        ("paddock_cache_expirations_total", "Answers dropped because they were too old.", store.expired),
        ("paddock_cache_saved_tokens_total", "Tokens of answers given again, not computed.", cache.tokens_saved),
    )
    return [
        *(
            family(name, "counter", text, (((("model", model),), count) for model, count in counts.items()))
            for name, text, counts in by_model
        ),
        *(family(name, "counter", text, [((), count)]) for name, text, count in counters),
        family("paddock_cache_entries", "gauge", "Answers in the cache.", [((), len(store))]),
        family("paddock_cache_size_bytes", "gauge", "Memory that they take.", [((), store.size_bytes)]),
    ]
