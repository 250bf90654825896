import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train():
    for epoch in range(3):
        for x, y in DataLoader(data, batch_size=32):
            large = torch.zeros(1 << 20, device="cuda")
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x.cuda()), y.cuda()).backward()
            optimizer.step()
            del large
            torch.zeros(1 << 20, device="cuda")


train()
