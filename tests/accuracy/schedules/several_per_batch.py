import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()


class Learner:
    def __init__(self, epochs, passes):
        self.epochs = epochs
        self.passes = passes

    def update(self, x, y):
        for _ in range(self.passes):
            optimizer.zero_grad()
            loss_fn(model(x.cuda()), y.cuda()).backward()
            optimizer.step()

    def fit(self):
        for self.epoch in range(self.epochs):
            for x, y in loader:
                self.update(x, y)


Learner(epochs=9, passes=4).fit()
