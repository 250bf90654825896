import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

folds = [(list(range(0, 320)), list(range(320, 640))), (list(range(320, 640)), list(range(0, 320)))]
for fold, (train, held_out) in enumerate(folds):
    model = nn.Linear(16, 4).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(torch.utils.data.Subset(data, train), batch_size=32, shuffle=True)
    validation = DataLoader(torch.utils.data.Subset(data, held_out), batch_size=64)
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            loss_fn(model(x.cuda()), y.cuda()).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in validation:
                model(x.cuda())
        model.train()
