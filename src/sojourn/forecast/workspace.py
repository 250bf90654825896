"""What dispatch never sees: memory that cuDNN, cuBLAS and the CUDA context take for themselves.

Every figure here is a model with its source. None is calibrated on a card yet, so each says how far
it may be off, and the forecast's band follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass

from sojourn.units import MIB

# Bytes per handle and thread: `:4096:2:16:8` = 2 of 4096 KiB and 8 of 16 KiB; on compute capability
# 9.0 and 10.0 `:4096:8`. Source: PyTorch, ATen/cuda/CublasHandlePool.cpp, getChosenWorkspaceSize.
_CUBLAS_WORKSPACE_BYTES = 2 * 4096 * 1024 + 8 * 16 * 1024
_CUBLAS_WORKSPACE_LARGE_BYTES = 8 * 4096 * 1024
_LARGE_WORKSPACE_MAJORS = (9, 10)

# Bytes of the card that the CUDA context takes, with the kernels that are loaded on first use,
# outside torch's figures; by compute capability. 8.6 and 8.9: at most what nine measured runs that
# ran out of memory left of an RTX 3060 (291 MiB) and an RTX 4060 (123 MiB); an L4 has 2.4 times the
# latter's multiprocessors, for each of which the context keeps a stack. The others: differences
# between nvidia-smi and torch.cuda.memory_reserved that users report; uncalibrated.
_CONTEXT_BYTES = {
    (6, 0): 300 * MIB,
    (7, 0): 350 * MIB,
    (8, 0): 450 * MIB,
    (8, 6): 291 * MIB,
    (9, 0): 550 * MIB,
    (12, 0): 600 * MIB,
}

# cuDNN keeps, per step, sample and layer, this many vectors of the hidden size for the backward
# pass (gates, cell, output), less the last layer's output, which is the tensor `output` itself.
# Source: sizes printed from cuDNN in pytorch/pytorch issue 2895 (4 layers, hidden 320, 25,000 steps
# times samples, fp32): LSTM 736,000,000 B = 23 vectors over 4 layers, GRU 864,000,000 B = 27.
_RESERVE_VECTORS = {"LSTM": 6, "GRU": 7, "RNN_TANH": 2, "RNN_RELU": 2}
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}

# How far the size of an RNN buffer may be off: one vector in five either way. Uncalibrated on
# current cards and cuDNN 9.
ESTIMATE_LOW = 0.8
ESTIMATE_HIGH = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RnnShape:
    """A call of cuDNN's RNN.

    `tokens` is steps x samples (the sum of all lengths where they vary), `samples` the batch size;
    `mode` is LSTM, GRU, RNN_TANH or RNN_RELU; `item_bytes` the size of one element.
    """

    mode: str
    tokens: int
    samples: int
    input_size: int
    hidden_size: int
    layers: int
    directions: int
    item_bytes: int

    @property
    def weight_count(self) -> int:
        """Number of weights without biases, as cuDNN transposes them into its workspace."""
        per_direction = self.hidden_size * (self.input_size + self.hidden_size)
        deeper = self.hidden_size * (self.hidden_size * self.directions + self.hidden_size)
        gates = _GATES[self.mode]
        return gates * self.directions * (per_direction + (self.layers - 1) * deeper)


def rnn_reserve_bytes(shape: RnnShape) -> int:
    """Bytes that cuDNN keeps from an RNN's forward pass until its backward pass has run."""
    vectors = _RESERVE_VECTORS[shape.mode] * shape.layers - 1
    return vectors * shape.directions * shape.tokens * shape.hidden_size * shape.item_bytes


def rnn_workspace_bytes(shape: RnnShape) -> int:
    """Bytes that cuDNN needs while an RNN runs.

    Transposed weights, and 3g - 1 vectors of the hidden size per layer and sample with g gates.

    Source: the workspace sizes printed in pytorch/pytorch issue 2895 (batch 100, 4 layers, hidden
    320, input 123), which this meets to the byte: LSTM 17,730,560, GRU 13,169,920.
    """
    vectors = 3 * _GATES[shape.mode] - 1
    states = vectors * shape.layers * shape.directions * shape.samples * shape.hidden_size
    return (shape.weight_count + states) * shape.item_bytes


def cublas_workspace_bytes(compute_capability: str) -> int:
    """Bytes that torch keeps for each cuBLAS handle once it has multiplied matrices."""
    is_large = _version(compute_capability)[0] in _LARGE_WORKSPACE_MAJORS
    return _CUBLAS_WORKSPACE_LARGE_BYTES if is_large else _CUBLAS_WORKSPACE_BYTES


def context_bytes(compute_capability: str) -> int:
    """Bytes that the CUDA context takes of the card's memory, outside torch's allocator."""
    asked = _version(compute_capability)
    known = [version for version in _CONTEXT_BYTES if version <= asked]
    return _CONTEXT_BYTES[max(known, default=min(_CONTEXT_BYTES))]


def _version(compute_capability: str) -> tuple[int, int]:
    major, _, minor = compute_capability.partition(".")
    return int(major), int(minor or 0)
