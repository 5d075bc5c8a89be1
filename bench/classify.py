"""How long the router takes to judge a prompt, by its size, and what of it is privacy and what complexity.

Times are of the CPU, so that other work on the machine counts little. The floor is what nobody does without: decoding
the request from JSON, in the same run. Every size is measured for an ordinary text, for one in German, and for one in
which many detectors have to look closely; a megabyte also for texts that were made to be slow.

Usage: python bench/classify.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from agent_runtime.router.prompts import Classifier
from agent_runtime.router.prompts.complexity import assess
from agent_runtime.router.prompts.privacy import Privacy
from agent_runtime.router.prompts.texts import collect
from fleet_spec.governance_spec import PrivacySpec

ORDINARY = (
    "Please write a short summary of the main arguments in favour of renewable energy, and mention how the grid has to "
    "change for it. Keep the tone friendly. "
)
GERMAN = (
    "Bitte fasse die wichtigsten Gründe für erneuerbare Energien kurz zusammen und erwähne, was sich am Netz "
    "ändern müsste. "
)
BUSY = (
    "Order 114-3941689 of 2024-01-17 went to the street next to the bank; the patient customer asked how passwords and "
    "salaries are stored, at 12.50 each. "
)
HOSTILE = {"digits": "4111 1111 1111 1112 ", "calls": "call 0171 2345 ", "words": "one ", "secrets": "password is "}
SIZES = (50, 500, 5_000, 50_000, 1_000_000)
MIN_SECONDS = 0.2


def microseconds(work: Callable[[], object]) -> float:
    """The median of several runs, each long enough to be timed."""
    began = time.process_time()
    work()
    once = max(time.process_time() - began, 1e-7)
    times = max(1, int(MIN_SECONDS / 5 / once))
    rounds: list[float] = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - began) / times * 1e6)
    return statistics.median(rounds)


def measure(name: str, piece: str, size: int, classifier: Classifier, privacy: Privacy) -> dict[str, object]:
    text = (piece * (size // len(piece) + 1))[:size]
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    raw = json.dumps(body)
    texts = collect(body)
    return {
        "text": name,
        "characters": size,
        "decoding": microseconds(lambda: json.loads(raw)),
        "privacy": microseconds(lambda: privacy.reasons(texts.everything)),
        "complexity": microseconds(lambda: assess(texts)),
        "all": microseconds(lambda: classifier.classify("openai", body)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    classifier = Classifier(PrivacySpec())
    privacy = Privacy(PrivacySpec())
    texts = {"ordinary": ORDINARY, "German": GERMAN, "busy": BUSY}
    rows = [measure(name, piece, size, classifier, privacy) for name, piece in texts.items() for size in SIZES] + [
        measure(name, piece, SIZES[-1], classifier, privacy) for name, piece in HOSTILE.items()
    ]
    print(f"Python {platform.python_version()}, {platform.machine()}. Microseconds of CPU, medians.\n")
    columns = ("text", "characters", "decoding", "privacy", "complexity", "all")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        cells = [f"{cell:,.1f}" if isinstance(cell, float) else f"{cell}" for cell in (row[name] for name in columns)]
        print(f"| {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
