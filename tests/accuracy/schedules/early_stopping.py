import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

best, patience = float("inf"), 0
for epoch in range(100):
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x.cuda()), y.cuda())
        loss.backward()
        optimizer.step()
    if loss.item() < best:
        best, patience = loss.item(), 0
    else:
        patience += 1
        if patience > 5:
            break
