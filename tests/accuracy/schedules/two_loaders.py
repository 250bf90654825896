import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

sampler = torch.utils.data.WeightedRandomSampler(torch.ones(640), num_samples=320)
loader = DataLoader(data, batch_size=32, sampler=sampler)
unlabelled = DataLoader(data, batch_size=8, shuffle=True)
for epoch in range(5):
    for (x, y), (u, _) in zip(loader, unlabelled):
        optimizer.zero_grad()
        loss = loss_fn(model(x.cuda()), y.cuda()) + model(u.cuda()).square().mean()
        loss.backward()
        optimizer.step()
