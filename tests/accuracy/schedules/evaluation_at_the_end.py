"""Evaluates in each epoch, only after the last, or both, or in no way; in a function or not."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
held_out = DataLoader(TensorDataset(*data[:200]), batch_size=50)
test = DataLoader(TensorDataset(*data[:300]), batch_size=60)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()
when, where = sys.argv[1:3]


def evaluate(batches):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in batches:
            right += (model(x.cuda()).argmax(1) == y.cuda()).sum().item()
            total += len(y)
    model.train()
    return right / total


def train_epoch():
    total = batches = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x.cuda()), y.cuda())
        loss.backward()
        optimizer.step()
        total += loss.item()
        batches += 1
    return total / batches


def train(epochs):
    best = -1.0
    for epoch in range(epochs):
        train_epoch()
        if when in ("each", "both") and evaluate(held_out) > best:
            torch.save(model.state_dict(), "best.pt")


def train_and_look(epochs):
    for epoch in range(epochs):
        train_epoch()
        if epoch % 5 == 4:
            evaluate(held_out)


if when == "now and then":
    train_and_look(30)
elif where == "function":
    train(30)
elif where == "folds":
    for fold in range(3):
        train(10)
        evaluate(test)
else:
    with open("log.txt", "w") as log:
        for epoch in range(30):
            log.write(f"{train_epoch()}\n")
            if when in ("each", "both"):
                evaluate(held_out)
                torch.save({"model": model.state_dict(), "epoch": epoch}, "best.pt")

if when == "both":
    saved = torch.load("best.pt")
    model.load_state_dict(saved.get("model", saved))
if when in ("end", "both", "now and then"):
    print(evaluate(test))
