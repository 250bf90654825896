"""Cards as cuDNN describes them: what its heuristics look at.

Source of the properties: NVIDIA's CUDA C++ programming guide, table "technical specifications per
compute capability" (threads, blocks, registers and shared memory), and each card's data sheet
(multiprocessors, clocks, bus width, L2 cache).
"""

from __future__ import annotations

from typing import Any

_ALIKE: dict[str, Any] = {
    "maxGridSize": [2147483647, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64],
    "maxThreadsPerBlock": 1024,
    "regsPerBlock": 65536,
    "maxRegistersPerSM": 65536,
    "warpSize": 32,
    "maxSharedMemoryPerBlock": 49152,
    "reservedSharedMemoryPerBlock": 1024,
    "pciDeviceId": 0,
    "isTccDriver": 0,
    "supportCoopLaunch": 1,
    "driverVer": 12080,
    "driverVersion": 12080,
    "cudaDeviceId": 0,
    "smCountOrigin": 0,
}


def _card(  # noqa: PLR0917 - a data sheet, in the order in which NVIDIA prints one
    name: str,
    capability: str,
    multiprocessors: int,
    memory_bytes: int,
    clock_khz: int,
    memory_clock_khz: int,
    bus_bits: int,
    cache_bytes: int,
) -> dict[str, Any]:
    shared_bytes, threads, blocks = _PER_MULTIPROCESSOR[capability]
    reserved = 0 if capability == "7.5" else 1024
    return _ALIKE | {
        "deviceName": name,
        "deviceVer": int(float(capability) * 100),
        "multiProcessorCount": multiprocessors,
        "totalGlobalMem": memory_bytes,
        "smClockRateKHz": clock_khz,
        "memClockRateKHz": memory_clock_khz,
        "memoryBusWidth": bus_bits,
        "l2CacheSize": cache_bytes,
        "maxSharedMemoryPerSM": shared_bytes,
        "maxSharedMemoryPerBlockOptin": shared_bytes - reserved,
        "oversizedSharedMemoryPerBlock": shared_bytes - reserved,
        "reservedSharedMemoryPerBlock": reserved,
        "maxThreadsPerSM": threads,
        "maxCtasPerSM": blocks,
    }


# Shared memory in bytes, threads, blocks.
_PER_MULTIPROCESSOR = {
    "7.5": (65536, 1024, 16),
    "8.0": (167936, 2048, 32),
    "8.6": (102400, 1536, 16),
    "8.9": (102400, 1536, 24),
    "9.0": (233472, 2048, 32),
}
# By compute capability: one card stands for all of it.
CARDS = {
    "7.5": _card("Tesla T4", "7.5", 40, 15828320256, 1590000, 5001000, 256, 4 << 20),
    "8.0": _card(
        "NVIDIA A100-SXM4-40GB", "8.0", 108, 42474471424, 1410000, 1215000, 5120, 40 << 20
    ),
    "8.6": _card("NVIDIA GeForce RTX 3060", "8.6", 28, 12622168064, 1777000, 7501000, 192, 2359296),
    "8.9": _card("NVIDIA L4", "8.9", 58, 23679074304, 2040000, 6251000, 192, 48 << 20),
    "9.0": _card(
        "NVIDIA H100 80GB HBM3", "9.0", 132, 85029158912, 1980000, 2619000, 5120, 50 << 20
    ),
}
