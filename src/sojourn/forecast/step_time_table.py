"""Fitted."""

PARAMETERS: dict[str, float] = {
    "matmul_tensor": 0.8,
    "matmul_plain": 0.75,
    "convolution_tensor": 0.7,
    "convolution_plain": 0.7,
    "grouped_tensor": 0.3,
    "grouped_plain": 0.3,
    "depthwise_plain": 0.3,
    "attention_tensor": 0.5,
    "attention_plain": 0.4,
    "recurrent_tensor": 0.6,
    "recurrent_plain": 0.5,
    "matmul_reuse": 150.0,
    "convolution_reuse": 150.0,
    "stream": 0.8,
    "normalization": 0.7,
    "indexing": 0.4,
    "depthwise": 0.4,
    "layout": 1.0,
    "unaligned": 0.6,
    "gap_s": 2e-6,
    "host_s": 8e-6,
    "recurrent_step_s": 4e-6,
    "transfer_bytes_per_s": 6e9,
}
BANDS: dict[str, tuple[float, float]] = {"all": (0.7, 1.4), "recurrent": (0.5, 2.0)}
