"""Qwen (the first one), whole or with LoRA, with gradient checkpointing, in bfloat16.

Source: https://huggingface.co/Qwen/Qwen-7B, modeling_qwen.py (QWenAttention, QWenMLP, RMSNorm,
rotary positions in fp32) and config.json; adapters as in QwenLM/Qwen, finetune.py (rank 64, on
c_attn, c_proj, w1 and w2).
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

VOCABULARY = 151936


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return wide.type_as(x) * self.weight


def turn(x, cos, sin):
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).type_as(x)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width, bias=False)

    def forward(self, x, cos, sin):
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        query, key, value = (part.view(split) for part in self.c_attn(x).split(width, dim=2))
        query, key = turn(query, cos, sin), turn(key, cos, sin)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        found = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.c_proj(found.transpose(1, 2).reshape(batch, length, width))


class MLP(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(width, inner, bias=False)
        self.c_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.c_proj(self.w1(x) * nn.functional.silu(self.w2(x)))


class Block(nn.Module):
    def __init__(self, width, inner, heads):
        super().__init__()
        self.ln_1, self.ln_2 = Norm(width), Norm(width)
        self.attn, self.mlp = Attention(width, heads), MLP(width, inner)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.ln_1(x), cos, sin)
        return x + self.mlp(self.ln_2(x))


class Adapter(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        place = {"dtype": base.weight.dtype, "device": base.weight.device, "bias": False}
        self.a = nn.Linear(base.in_features, 64, **place)
        self.b = nn.Linear(64, base.out_features, **place)
        self.drop = nn.Dropout(0.05)

    def forward(self, x):
        return self.base(x) + self.b(self.a(self.drop(x))) * 0.25


class Qwen(nn.Module):
    def __init__(self, layers, width, inner, heads, lora):
        super().__init__()
        self.head_size = width // heads
        self.wte = nn.Embedding(VOCABULARY, width)
        self.h = nn.ModuleList(Block(width, inner, heads) for _ in range(layers))
        self.ln_f = Norm(width)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        self.lora = lora
        if lora:
            for p in self.parameters():
                p.requires_grad_(False)
            for block in self.h:
                for part in (block.attn, block.mlp):
                    for name, layer in list(part.named_children()):
                        setattr(part, name, Adapter(layer))

    def forward(self, ids):
        x = self.wte(ids)
        if self.lora:
            x.requires_grad_(True)
        places = torch.arange(ids.shape[1], device=ids.device, dtype=torch.float32)
        rates = torch.arange(0, self.head_size, 2, device=ids.device).float() / self.head_size
        angles = torch.outer(places, 10000.0**-rates)
        angles = torch.cat((angles, angles), dim=-1)[None, :, None, :]
        cos, sin = angles.cos(), angles.sin()
        for block in self.h:
            x = checkpoint(block, x, cos, sin, use_reentrant=False)
        return self.lm_head(self.ln_f(x))
