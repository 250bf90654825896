"""Transformer-XL with relative positions, memory, and a full or an adaptive softmax.

Source: NVIDIA/DeepLearningExamples, PyTorch/LanguageModeling/Transformer-XL/pytorch (mem_transformer
.py: RelPartialLearnableMultiHeadAttn, post-norm, untied r_w_bias and r_r_bias; its wt103 configs).
The adaptive softmax's cutoffs are its own; which share of the tokens falls into each of its
clusters is assumed: 85, 5, 8 and 2 %, as words of WikiText-103 by rank (a Zipf law) would.
"""

import torch
from torch import nn

VOCABULARY = 267735
CUTOFFS = [0, 19997, 39997, 199997, VOCABULARY]
SHARES = [0.85, 0.05, 0.08, 0.02]


class Attention(nn.Module):
    def __init__(self, width, heads, head, dropout):
        super().__init__()
        self.heads, self.head = heads, head
        self.qkv = nn.Linear(width, 3 * heads * head, bias=False)
        self.r = nn.Linear(width, heads * head, bias=False)
        self.o = nn.Linear(heads * head, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.scale = head**-0.5

    def shift(self, x):
        padded = torch.cat([x.new_zeros(*x.shape[:3], 1), x], dim=3)
        padded = padded.view(x.size(0), x.size(1), x.size(3) + 1, x.size(2))
        return padded.narrow(2, 1, padded.size(2) - 1).view_as(x)

    def forward(self, w, positions, bias_w, bias_r, mask, memory):
        length, batch = w.shape[:2]
        both = torch.cat([memory, w], 0)
        q, k, v = self.qkv(both).chunk(3, dim=-1)
        keys = both.size(0)
        q = q[-length:].view(length, batch, self.heads, self.head)
        k = k.view(keys, batch, self.heads, self.head)
        v = v.view(keys, batch, self.heads, self.head)
        r = self.r(positions).view(keys, self.heads, self.head)
        content = torch.matmul((q + bias_w).permute(1, 2, 0, 3), k.permute(1, 2, 3, 0))
        relative = torch.matmul((q + bias_r).permute(1, 2, 0, 3), r.permute(1, 2, 0))
        score = (content + self.shift(relative)) * self.scale
        score = score.float().masked_fill(mask, -float("inf")).type_as(score)
        probability = self.drop(torch.softmax(score, dim=3))
        found = torch.matmul(probability, v.permute(1, 2, 0, 3))
        found = found.permute(2, 0, 1, 3).contiguous().view(length, batch, self.heads * self.head)
        return self.norm(w + self.drop(self.o(found)))


class FeedForward(nn.Module):
    def __init__(self, width, inner, dropout):
        super().__init__()
        self.core = nn.Sequential(
            nn.Linear(width, inner),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + self.core(x))


class FullSoftmax(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))
        self.scale = width**0.5

    def embed(self, ids):
        return self.embedding(ids) * self.scale

    def loss(self, hidden, targets):
        logits = nn.functional.linear(hidden, self.embedding.weight.type_as(hidden), self.bias)
        return -torch.log_softmax(logits, dim=-1).gather(1, targets.unsqueeze(1)).mean()


class AdaptiveSoftmax(nn.Module):
    """Embeddings and logits by clusters, each a quarter as wide as the one before (div_val 4)."""

    def __init__(self, width, division):
        super().__init__()
        self.tables, self.into, self.out = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for number in range(4):
            narrow = width // division**number
            self.tables.append(nn.Embedding(CUTOFFS[number + 1] - CUTOFFS[number], narrow))
            self.into.append(nn.Linear(narrow, width, bias=False))
            self.out.append(nn.Linear(width, narrow, bias=False))
        self.clusters = nn.Linear(width, 3)
        self.scale = width**0.5

    def _parts(self, count):
        sizes = [int(count * share) for share in SHARES[1:]]
        return [count - sum(sizes), *sizes]

    def embed(self, ids):
        flat = ids.reshape(-1)
        parts = zip(self.tables, self.into, flat.split(self._parts(flat.numel())), strict=True)
        found = torch.cat([project(table(part % 200)) for table, project, part in parts])
        return found.view(*ids.shape, -1) * self.scale

    def loss(self, hidden, targets):
        parts = self._parts(hidden.size(0))
        head = torch.cat(
            [
                nn.functional.linear(self.out[0](hidden), self.tables[0].weight.type_as(hidden)),
                self.clusters(hidden),
            ],
            1,
        )
        total = -torch.log_softmax(head, dim=1).gather(1, targets.unsqueeze(1)).sum()
        pieces = zip(hidden.split(parts), targets.split(parts), strict=True)
        for number, (part, wanted) in enumerate(pieces):
            if number == 0:
                continue
            table = self.tables[number].weight.type_as(part)
            logits = nn.functional.linear(self.out[number](part), table)
            total = total - torch.log_softmax(logits, 1).gather(1, wanted.unsqueeze(1)).sum()
        return total / hidden.size(0)


class TransformerXL(nn.Module):
    def __init__(self, layers, width, heads, inner, memory, softmax, dropout=0.1):
        super().__init__()
        head = 64
        self.memory = memory
        self.softmax = softmax
        self.bias_w = nn.Parameter(torch.zeros(heads, head))
        self.bias_r = nn.Parameter(torch.zeros(heads, head))
        self.attention = nn.ModuleList(
            Attention(width, heads, head, dropout) for _ in range(layers)
        )
        self.feed = nn.ModuleList(FeedForward(width, inner, dropout) for _ in range(layers))
        self.drop = nn.Dropout(dropout)
        self.width = width

    def forward(self, ids, targets, memories):
        length = ids.size(0)
        hidden = self.softmax.embed(ids)
        keys = length + self.memory
        mask = torch.triu(ids.new_ones(length, keys), diagonal=1 + self.memory).bool()
        place = torch.arange(keys - 1, -1, -1.0, device=ids.device)
        rates = 10000 ** (-torch.arange(0, self.width, 2.0, device=ids.device) / self.width)
        angles = torch.outer(place, rates)
        positions = self.drop(torch.cat([angles.sin(), angles.cos()], -1).to(hidden.dtype))
        hidden = self.drop(hidden)
        new = []
        for number, (attention, feed) in enumerate(zip(self.attention, self.feed, strict=True)):
            new.append(hidden.detach())
            hidden = attention(hidden, positions, self.bias_w, self.bias_r, mask, memories[number])
            hidden = feed(hidden)
        loss = self.softmax.loss(self.drop(hidden).view(-1, self.width), targets.reshape(-1))
        return loss, [torch.cat([m, n], 0)[-self.memory :] for m, n in zip(memories, new)]
