"""The convolutions of widely used image models, as shapes: what cuDNN is asked about.

Runs each model on the meta device, where nothing is computed, at several image sizes.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = (
    *("resnet18", "resnet50", "resnet101", "resnext50_32x4d", "wide_resnet50_2"),
    *("vgg11", "vgg16", "alexnet", "squeezenet1_1", "densenet121", "inception_v3"),
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet0_5", "mnasnet1_0"),
    *("regnet_x_400mf", "regnet_y_400mf", "regnet_x_3_2gf", "regnet_y_8gf", "regnet_x_32gf"),
    *("convnext_tiny", "convnext_base", "efficientnet_b0", "efficientnet_b3"),
    *("efficientnet_v2_s", "shufflenet_v2_x1_0", "vit_b_16", "swin_t", "unet"),
)
IMAGE_SIZES = (64, 86, 128, 160, 224, 299, 384)
_MORE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "inception_v3": {"aux_logits": False, "init_weights": False}
}


class UNet(nn.Module):
    """The shape of a U-Net: two convolutions a level, transposed ones on the way up."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 64, 128, 256, 512]
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1))
            for a, b in itertools.pairwise(widths)
        )
        pairs = list(zip(widths[:0:-1], widths[-2:0:-1], strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.head = nn.Conv2d(64, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for level in self.down:
            x = level(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = kept.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), kept.pop()], 1))
        return self.head(x)


def find_shapes(model_name: str, image_size: int) -> Iterator[tuple[Any, ...]]:
    """Yield (input, weight, output, stride, padding, dilation, groups) for a batch of one."""
    model = _build(model_name)
    seen: list[tuple[Any, ...]] = []

    def note(module: Any, inputs: Any, output: Any) -> None:
        source, result = tuple(inputs[0].shape), tuple(output.shape)
        if isinstance(module, nn.ConvTranspose2d):
            source, result = result, source
        weight = tuple(module.weight.shape)
        settings = (module.stride, module.padding, module.dilation, module.groups)
        seen.append((source, weight, result, *settings))

    hooks = [
        module.register_forward_hook(note)
        for module in model.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    with torch.no_grad(), contextlib.suppress(RuntimeError):  # an image too small for the model
        model(torch.empty(1, 3, image_size, image_size, device="meta"))
    for hook in hooks:
        hook.remove()
    yield from seen


@functools.lru_cache(maxsize=1)
def _build(model_name: str) -> nn.Module:
    from torchvision import models

    # RegNet's widths are computed with tensors, so it cannot be built without memory.
    with torch.device("cpu" if model_name.startswith("regnet") else "meta"):
        if model_name == "unet":
            model: nn.Module = UNet()
        else:
            model = getattr(models, model_name)(**_MORE_ARGUMENTS.get(model_name, {}))
    return model.eval().to("meta")
