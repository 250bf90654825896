"""torchvision beside a torch that its compiled operators do not load with.

torchvision's wheel is built for CUDA; over a CPU build of torch its library fails to load, and then
its import fails because `nms`, for which it registers a shape rule, does not exist. (transformers
imports it too, where it is installed.) Models and transforms need none of these operators, so they
are declared and left without a kernel; who calls one is told by torchvision itself.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder

# The operators that torchvision/_meta_registrations.py names whether they are there or not.
_NEEDED_FOR_IMPORT = ("nms", "qnms")


def tolerate_torchvision(recorder: Recorder) -> None:
    """Let `import torchvision` succeed for the rest of the process if its library does not load."""
    load = torch.ops.load_library
    declared: list[Any] = []

    @functools.wraps(load)
    def load_or_declare(path: Any) -> Any:
        try:
            return load(path)
        except OSError:
            if "torchvision" in str(path) and not declared:
                declared.append(_declare())
            raise

    def watch(extension: Any) -> None:
        # Who needs an operator calls it first.
        check = getattr(extension, "_assert_has_ops", None)
        if check is None:  # another version
            return

        @functools.wraps(check)
        def check_and_note() -> None:
            if declared:
                recorder.assume("torchvision's compiled operators (nms, roi_align) are not there")
            check()

        extension._assert_has_ops = check_and_note  # noqa: SLF001

    after_import({"torchvision.extension": watch})
    torch.ops.load_library = load_or_declare  # type: ignore[method-assign]


def _declare() -> Any:
    library = torch.library.Library("torchvision", "DEF")
    for name in _NEEDED_FOR_IMPORT:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
