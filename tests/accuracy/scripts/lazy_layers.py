"""Layers that get their shape with the first batch, moved before it, or given as numbers."""

import sys

import torch
from torch import nn

is_lazy = sys.argv[1:] == ["lazy"]
model = nn.Sequential(
    nn.LazyConv2d(8, 3) if is_lazy else nn.Conv2d(3, 8, 3),
    nn.Flatten(),
    nn.LazyLinear(10) if is_lazy else nn.Linear(1568, 10),
).cuda()
images = torch.randn(4, 3, 16, 16, device="cuda")
model(images)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    loss = model(images).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
