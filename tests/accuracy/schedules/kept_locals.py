import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(epochs=3, width=16):
    settings = locals()
    data = TensorDataset(torch.randn(640, width), torch.randint(0, 4, (640,)))
    model = nn.Linear(width, 4).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        for x, y in DataLoader(data, batch_size=32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x.cuda()), y.cuda()).backward()
            optimizer.step()
            assert settings["width"] == 16


train()
