import torch
from torch import nn

x = torch.randn(1000, 16).cuda()
y = torch.randint(0, 4, (1000,)).cuda()
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.Adam(model.parameters())
batch_size = 100
for epoch in range(40):
    order = torch.randperm(len(x))
    for start in range(0, 1000, batch_size):
        picked = order[start : start + batch_size]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[picked]), y[picked]).backward()
        optimizer.step()
