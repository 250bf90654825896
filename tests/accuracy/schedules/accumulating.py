import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(650, 16), torch.randint(0, 4, (650,)))
loader = DataLoader(data, batch_size=32, drop_last=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

CONFIG = {"training": {"epochs": 8}, "accumulate": 3}

for epoch in range(CONFIG["training"]["epochs"]):
    for i, (x, y) in enumerate(loader):
        loss_fn(model(x.cuda()), y.cuda()).backward()
        if (i + 1) % CONFIG["accumulate"] == 0 or i + 1 == len(loader):
            optimizer.step()
            optimizer.zero_grad()
