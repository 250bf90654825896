import argparse

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--causal", action="store_true")
parser.add_argument("--mask", action="store_true")
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--kv-heads", type=int, default=4)
parser.add_argument("--precision", choices=["fp32", "fp16", "bf16"], default="fp16")
parser.add_argument("--math", action="store_true")
args = parser.parse_args()

BATCH, HEADS, LENGTH, HEAD_SIZE = 2, 4, 2048, 64
WIDTH = HEADS * HEAD_SIZE
dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[args.precision]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(WIDTH, WIDTH)
        self.kv = nn.Linear(WIDTH, 2 * args.kv_heads * HEAD_SIZE)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, mask=None):
        k, v = self.kv(x).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (-1, HEAD_SIZE)).transpose(1, 2) for t in (self.q(x), k, v))
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=args.dropout,
            is_causal=args.causal,
            enable_gqa=args.kv_heads != HEADS,
        )
        return self.out(y.transpose(1, 2).flatten(2))


model = nn.ModuleList(Attention() for _ in range(2)).cuda()
optimizer = torch.optim.AdamW(model.parameters())
if args.math:
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
for _ in range(10):
    x = torch.randn(BATCH, LENGTH, WIDTH, device="cuda")
    mask = None
    if args.mask:
        lengths = torch.randint(1, LENGTH, (BATCH, 1), device="cuda")
        mask = (torch.arange(LENGTH, device="cuda") < lengths)[:, None, None]
    with torch.autocast("cuda", dtype=dtype, enabled=args.precision != "fp32"):
        for layer in model:
            x = x + layer(x, mask)
        loss = x.float().square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
