"""`import torchvision` over a CPU build of torch, for the processes that sojourn does not start.

torchvision's wheel is built for CUDA, so its operators do not load and its import stops at the
first one that it registers a shape rule for. Models need none of them: declared, they are enough.
"""

from __future__ import annotations

from typing import Any

import torch

_DECLARED: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
for _name in ("nms", "qnms"):
    _DECLARED.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
