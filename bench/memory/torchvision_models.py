"""`import torchvision` over a CPU build of torch, for the processes that sojourn does not start.

torchvision's wheel is built for CUDA, so its operators do not load and its import stops at the
first one that it registers a shape rule for. Models need none of them: declared, they are enough.
"""

from __future__ import annotations

import torch

_DECLARED = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _DECLARED.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
