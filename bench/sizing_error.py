"""How far the estimates of weights are from published files, beside what others estimate with.

The table is tests/unit/fleet_spec/sizing/known_sizes.yaml. Two others: the level's nominal bits (what its name says, as
`accelerate estimate-memory` counts int4 and int8: parameters x bits / 8,
https://huggingface.co/docs/accelerate/usage_guides/model_size_estimator), and the mean bits per weight that llama.cpp
tells for its levels (its examples/quantize/README.md, of Llama 2 7B), which is what many calculators take.

    python bench/sizing_error.py
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import yaml

from fleet_spec.catalogue import load_catalogue
from fleet_spec.sizing.weights import gguf_bytes

TABLE = Path(__file__).parents[1] / "tests" / "unit" / "fleet_spec" / "sizing" / "known_sizes.yaml"
AIM = 0.10

MEAN_BITS = {
    "Q2_K": 3.35,
    "Q3_K_M": 3.91,
    "Q4_K_S": 4.58,
    "Q4_K_M": 4.84,
    "Q5_K_M": 5.68,
    "Q6_K": 6.56,
    "Q8_0": 8.5,
}
"""Bits per weight by level: of Llama 2 7B, in that README; Q8_0 is 34 bytes for 32 weights."""


def main() -> None:
    catalogue = load_catalogue()
    errors: dict[str, list[float]] = {"paddock": [], "nominal bits": [], "mean bits": []}
    print(f"{'model':16} {'level':8} {'GB':>7}  {'paddock':>8} {'nominal':>8} {'mean':>8}")
    for known in yaml.safe_load(TABLE.read_text(encoding="utf-8")):
        model, level, real = catalogue.get(known["model"]), known["quantization"], known["gigabytes"]
        nominal = int(re.search(r"\d+", level)[0])  # pyright: ignore[reportOptionalSubscript]
        estimates = {
            "paddock": gguf_bytes(model, level) / 1e9,
            "nominal bits": model.parameters.total * nominal / 8 / 1e9,
            "mean bits": model.parameters.total * MEAN_BITS[level] / 8 / 1e9,
        }
        for who, estimate in estimates.items():
            errors[who].append(estimate / real - 1)
        row = " ".join(f"{errors[who][-1]:+8.1%}" for who in errors)
        print(f"{model.name:16} {level:8} {real:7.3f}  {row}")
    print()
    for who, found in errors.items():
        absolute = [abs(error) for error in found]
        print(f"{who:13} median {statistics.median(absolute):6.2%}  worst {max(absolute):6.2%}")
    met = max(abs(error) for error in errors["paddock"]) <= AIM
    print(f"aim: within {AIM:.0%} for all of the table: {'met' if met else 'NOT MET'}")


if __name__ == "__main__":
    main()
