"""GPT-2 as written by hand for teaching, and its variants.

Source: rasbt/LLMs-from-scratch, ch04/01_main-chapter-code/gpt.py (attention, layer norm and GELU
spelt out), ch05/10_llm-training-speed (torch's own classes and SDPA instead).
"""

import torch
from torch import nn

VOCABULARY = 50257


class HandNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        mean, variance = x.mean(dim=-1, keepdim=True), x.var(dim=-1, keepdim=True, unbiased=False)
        return self.scale * ((x - mean) / torch.sqrt(variance + 1e-5)) + self.shift


class HandGelu(nn.Module):
    def forward(self, x):
        inner = torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * torch.pow(x, 3))
        return 0.5 * x * (1 + torch.tanh(inner))


class HandAttention(nn.Module):
    def __init__(self, width, heads, context, dropout, bias):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("mask", torch.triu(torch.ones(context, context), diagonal=1))

    def forward(self, x):
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (f(x).view(split).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3)
        scores.masked_fill_(self.mask.bool()[:length, :length], -torch.inf)
        weights = self.drop(torch.softmax(scores / k.shape[-1] ** 0.5, dim=-1))
        found = (weights @ v).transpose(1, 2).contiguous().view(batch, length, width)
        return self.out(found)


class FusedAttention(nn.Module):
    def __init__(self, width, heads, dropout, bias):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout, is_causal=True
        )
        return self.out(found.transpose(1, 2).contiguous().view(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, heads, context, dropout, bias, by_hand):
        super().__init__()
        norm = HandNorm if by_hand else nn.LayerNorm
        gelu = HandGelu() if by_hand else nn.GELU(approximate="tanh")
        self.attention = (
            HandAttention(width, heads, context, dropout, bias)
            if by_hand
            else FusedAttention(width, heads, dropout, bias)
        )
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), gelu, nn.Linear(4 * width, width))
        self.norm1, self.norm2, self.drop = norm(width), norm(width), nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.feed(self.norm2(x)))


class GPT(nn.Module):
    def __init__(
        self, layers=12, width=768, heads=12, context=1024, dropout=0.1, bias=False, by_hand=True,
        classes=VOCABULARY,
    ):  # fmt: skip
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.places = nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *(Block(width, heads, context, dropout, bias, by_hand) for _ in range(layers))
        )
        self.norm = HandNorm(width) if by_hand else nn.LayerNorm(width)
        self.head = nn.Linear(width, classes, bias=classes != VOCABULARY)

    def forward(self, ids):
        places = self.places(torch.arange(ids.shape[1], device=ids.device))
        return self.head(self.norm(self.blocks(self.drop(self.tokens(ids) + places))))
