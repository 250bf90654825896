import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()


def epochs_left():
    return 5


for epoch in range(epochs_left()):
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x.cuda()), y.cuda()).backward()
        optimizer.step()
