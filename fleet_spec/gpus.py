"""GPUs by the names that node pools give them: memory, and how fast it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MIB: Final = 2**20


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU."""

    name: str
    memory_bytes: int
    """What its driver reports as its total, which is less than the advertised size."""
    bandwidth_gb_per_second: int
    """Memory bandwidth in 10^9 bytes a second, from its maker's data sheet. Bounds tokens per second from above."""


def _gpu(name: str, memory_mib: int, bandwidth_gb_per_second: int) -> tuple[str, Gpu]:
    return name, Gpu(name, memory_mib * _MIB, bandwidth_gb_per_second)


GPUS: Final[dict[str, Gpu]] = dict(
    [
        _gpu("nvidia-t4", 15_360, 320),
        _gpu("nvidia-v100-16gb", 16_384, 900),
        _gpu("nvidia-l4", 23_034, 300),
        _gpu("nvidia-a10g", 23_028, 600),
        _gpu("nvidia-rtx-3090", 24_576, 936),
        _gpu("nvidia-rtx-4090", 24_564, 1_008),
        _gpu("nvidia-rtx-5090", 32_607, 1_792),
        _gpu("nvidia-v100-32gb", 32_768, 900),
        _gpu("nvidia-a100-40gb", 40_960, 1_555),
        _gpu("nvidia-l40s", 46_068, 864),
        _gpu("nvidia-rtx-6000-ada", 49_140, 960),
        _gpu("amd-mi210", 65_520, 1_638),
        _gpu("nvidia-a100-80gb", 81_920, 2_039),
        _gpu("nvidia-h100-80gb", 81_559, 3_350),
        _gpu("nvidia-h200", 143_771, 4_800),
        _gpu("nvidia-b200", 183_359, 8_000),
        _gpu("amd-mi300x", 196_592, 5_300),
    ]
)
"""Every known GPU by name, smallest first."""
