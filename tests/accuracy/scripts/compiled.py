import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 512))

    def forward(self, x):
        return x + self.layers(x)


@torch.compile(fullgraph=True)
def mse(prediction, target):
    return (prediction - target).square().mean()


torch.set_float32_matmul_precision("high")
model = torch.compile(Net().cuda(), mode="max-autotune")
print(sum(p.numel() for p in model._orig_mod.parameters()))
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(10):
    x = torch.randn(1024, 512, device="cuda")
    loss = mse(model(x), torch.zeros_like(x))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
