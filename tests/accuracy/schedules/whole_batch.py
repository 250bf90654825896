import torch
from torch import nn

x = torch.randn(1000, 16).cuda()
y = torch.randint(0, 4, (1000,)).cuda()
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.Adam(model.parameters())
num_epochs = 250
for epoch in range(num_epochs):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
