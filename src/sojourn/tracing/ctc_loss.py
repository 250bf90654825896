"""The CTC loss on the device: how long the sequences are decides its size.

Source: PyTorch, ATen/native/LossCTC.cpp (ctc_loss) and ATen/native/cuda/LossCTC.cu
(ctc_loss_gpu_template).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

if TYPE_CHECKING:
    from collections.abc import Callable


def install_ctc_loss() -> None:
    """Give the loss its lengths as numbers, for the rest of the process.

    torch does so itself with tensors that hold values; beside tensors that hold none it goes
    another way, which no card goes.
    """
    original: Callable[..., Any] = torch.ctc_loss

    def ctc_loss(
        log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, *args: Any
    ) -> Any:
        batched = log_probs.dim() == len(("steps", "samples", "classes"))
        samples = log_probs.shape[1] if batched else 1
        longest_target = targets.shape[-1] if targets.dim() > 1 else targets.numel() // samples
        return original(
            log_probs,
            targets,
            _as_numbers(input_lengths, samples, log_probs.shape[0]),
            _as_numbers(target_lengths, samples, longest_target),
            *args,
        )

    torch.ctc_loss = ctc_loss  # type: ignore[assignment]


def _as_numbers(lengths: Any, count: int, unknown: int) -> list[int]:
    """Return lengths as numbers, in elements; all `unknown` where only the device knows them."""
    if not isinstance(lengths, torch.Tensor):
        return list(lengths)
    if isinstance(lengths, FakeTensor):
        lengths = getattr(lengths, "host_copy", None)
    return [unknown] * count if lengths is None else lengths.reshape(-1).tolist()


def takes_vendor_loss(*_args: Any) -> bool:
    """Whether a vendor's CTC loss is taken: it is not.

    cuDNN's wants the targets on the host, MIOpen's another vendor's card.
    Source: PyTorch, ATen/native/cudnn/LossCTC.cpp, _use_cudnn_ctc_loss.
    """
    return False


def ctc_loss_forward(
    log_probs: Any, _targets: Any, _input_lengths: Any, target_lengths: Any, *_args: Any
) -> Any:
    """Return log-likelihoods (N,) and forward variables (N, T, 2 L + 1): labels and gaps."""
    steps, samples = log_probs.shape[:2]
    longest = max(target_lengths, default=0)
    forward_variables = (samples, steps, 2 * longest + 1)
    return log_probs.new_empty(samples), log_probs.new_empty(forward_variables)


def ctc_loss_backward(_gradient: Any, log_probs: Any, *_args: Any) -> Any:
    """Return the gradient of the log-probabilities (T, N, C)."""
    return torch.empty_like(log_probs)
