import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

how, batches = sys.argv[1], int(sys.argv[2])
model = nn.Linear(16, 4096, bias=False).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train_loader = DataLoader(TensorDataset(torch.randn(64, 16)), batch_size=8)
valid_loader = DataLoader(TensorDataset(torch.randn(batches * 10, 16)), batch_size=10)

for epoch in range(3):
    for (x,) in train_loader:
        optimizer.zero_grad()
        model(x.cuda()).square().mean().backward()
        optimizer.step()
    model.eval()
    gathered, together = [], torch.empty(0, 4096, device="cuda")
    with torch.no_grad():
        for (x,) in valid_loader:
            if how == "list":
                gathered.append(model(x.cuda()))
            else:
                together = torch.cat([together, model(x.cuda())])
    if gathered:
        together = torch.cat(gathered)
    together = together.cpu()
