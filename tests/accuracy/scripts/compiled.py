import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 512))

    def forward(self, x):
        return x + self.layers(x)


def mse(prediction, target):
    return (prediction - target).square().mean()


model = Net().cuda()
if "--compile" in sys.argv:
    torch.set_float32_matmul_precision("high")
    model = torch.compile(model, mode="max-autotune")
    mse = torch.compile(mse)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(10):
    x = torch.randn(1024, 512, device="cuda")
    loss = mse(model(x), torch.zeros_like(x))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
