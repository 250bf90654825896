import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()


def endless(loader):
    while True:
        for batch in loader:
            yield batch


for step, (x, y) in zip(range(500), endless(loader)):
    optimizer.zero_grad()
    loss_fn(model(x.cuda()), y.cuda()).backward()
    optimizer.step()
