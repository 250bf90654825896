import argparse

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

parser = argparse.ArgumentParser()
parser.add_argument("--checkpoint", choices=["none", "reentrant", "non_reentrant"], default="none")
args = parser.parse_args()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Dropout(0.1), nn.Linear(1024, 256))
            for _ in range(8)
        )
        self.head = nn.Linear(256, 1)

    def forward(self, x):
        for block in self.blocks:
            if args.checkpoint == "none":
                x = x + block(x)
            else:
                x = x + checkpoint(block, x, use_reentrant=args.checkpoint == "reentrant")
        return self.head(x)


model = Net().cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(10):
    x = torch.randn(8192, 256, device="cuda", requires_grad=True)
    loss = model(x).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
