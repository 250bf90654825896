"""The accelerators that the rows were measured on, with the figures that each was sold with.

Peaks are dense, in FLOP/s, with fp32 accumulation; bandwidths in bytes/s.
"""

from __future__ import annotations

from sojourn.catalog.models import Accelerator

# Sources: NVIDIA's data sheets "Tesla V100" (SXM3: DGX-2H, 450 W), "A100 Tensor Core GPU", "H100
# Tensor Core GPU", "Tesla T4", and the whitepapers "GA102 GPU Architecture" and "Pascal P100".
# name: compute capability, bandwidth in GB/s, TFLOP/s in fp32, tf32, half.
_FIGURES: dict[str, tuple[str, float, float, float | None, float | None]] = {
    "V100-SXM2-16GB": ("7.0", 900, 15.7, None, 125),
    "V100-SXM2-32GB": ("7.0", 900, 15.7, None, 125),
    "V100-SXM3-32GB": ("7.0", 981, 16.4, None, 131),
    "V100-16GB(Lambda)": ("7.0", 900, 15.7, None, 125),
    "A100-SXM4-40GB": ("8.0", 1555, 19.5, 156, 312),
    "A100-PCIe-40GB": ("8.0", 1555, 19.5, 156, 312),
    "A100-SXM4-80GB": ("8.0", 2039, 19.5, 156, 312),
    "A100-PCIe-80GB": ("8.0", 1935, 19.5, 156, 312),
    # The rows do not say which; the smaller one is what Colab and most clouds lent at the time.
    "A100(size not stated)": ("8.0", 1555, 19.5, 156, 312),
    "H100-PCIe-80GB": ("9.0", 2000, 51, 378, 756),
    "H100-SXM5-80GB": ("9.0", 3350, 67, 494.7, 989),
    "RTX 3090": ("8.6", 936, 35.6, 35.6, 71),
    "RTX 3080": ("8.6", 760, 29.8, 29.8, 59.5),
    "T4": ("7.5", 320, 8.1, None, 65),
    "P100": ("6.0", 732, 9.3, None, 18.7),
    "P100-PCIe-16GB": ("6.0", 732, 9.3, None, 18.7),
    "Quadro GP100": ("6.0", 717, 10.3, None, 20.7),
    "L4": ("8.9", 300, 30.3, 60.5, 121),
}
_TERA, _GIGA = 1e12, 1e9
_FIRST_WITH_BF16 = (8, 0)


def card_of(gpu: str) -> Accelerator:
    """Return the accelerator of a row's `gpu`."""
    capability, bandwidth, single, tf32, half = _FIGURES[gpu]
    has_bf16 = tuple(int(part) for part in capability.split(".")) >= _FIRST_WITH_BF16
    return Accelerator(
        id=gpu,
        name=gpu,
        compute_capability=capability,
        memory_bandwidth_bytes_per_s=bandwidth * _GIGA,
        fp32_flops_per_s=single * _TERA,
        tf32_flops_per_s=tf32 and tf32 * _TERA,
        fp16_flops_per_s=half and half * _TERA,
        bf16_flops_per_s=half * _TERA if half and has_bf16 else None,
    )
