"""Trains within a comprehension, a generator or a class, and evaluates after the last epoch."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
held_out = DataLoader(TensorDataset(*data[:200]), batch_size=50)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()


def step(batch):
    x, y = batch
    optimizer.zero_grad()
    loss = loss_fn(model(x.cuda()), y.cuda())
    loss.backward()
    optimizer.step()
    return loss.item()


def train_epoch():
    return sum([step(batch) for batch in loader])


def evaluate():
    with torch.no_grad():
        for x, y in held_out:
            model(x.cuda())


def fit(epochs):
    return [train_epoch() for epoch in range(epochs)]


def losses(epochs):
    for epoch in range(epochs):
        yield train_epoch()


if sys.argv[1] == "batches":
    for epoch in range(7):
        train_epoch()
elif sys.argv[1] == "epochs":
    print(fit(9))
elif sys.argv[1] == "generator":
    for loss in losses(5):
        print(loss)
elif sys.argv[1] == "expression":
    print(sum(train_epoch() for epoch in range(4)))
elif sys.argv[1] == "else":
    for epoch in range(6):
        train_epoch()
    else:
        print("trained")
elif sys.argv[1] == "class":

    class Training:
        for epoch in range(3):
            train_epoch()

elif sys.argv[1] == "again":
    for epoch in range(8):
        train_epoch()
        evaluate()

evaluate()
