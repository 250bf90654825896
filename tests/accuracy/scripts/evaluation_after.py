import os
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Linear(128, 64).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(torch.randn(64, 128)), batch_size=8)
for epoch in range(3):
    for (x,) in loader:
        optimizer.zero_grad()
        model(x.cuda()).square().mean().backward()
        optimizer.step()
    torch.save(model.state_dict(), "last.pt")
    if sys.argv[1] == "raise":
        raise ValueError("no such metric")
    if sys.argv[1] == "exit":
        os._exit(3)
    while sys.argv[1] == "hang":
        pass
    if sys.argv[1] == "graph":
        for (x,) in DataLoader(TensorDataset(torch.randn(4000, 128)), batch_size=1000):
            model(x.cuda()).sigmoid().square().sum()
    if sys.argv[1] == "metric":
        with torch.no_grad():
            seen = sum(len(model(x.cuda())) for (x,) in DataLoader(loader.dataset, batch_size=16))
        if seen < len(loader.dataset):
            raise ValueError(f"{seen} of {len(loader.dataset)}")
