import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

held_out = DataLoader(TensorDataset(*data[:160]), batch_size=32)
test = DataLoader(TensorDataset(*data[:64]), batch_size=32)


@torch.no_grad()
def accuracy(loader):
    model.eval()
    right = sum((model(x.cuda()).argmax(1).cpu() == y).sum() for x, y in loader)
    model.train()
    return right


for epoch in range(20):
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x.cuda()), y.cuda()).backward()
        optimizer.step()
    if epoch % 5 == 0:
        accuracy(held_out)
accuracy(test)
