import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()


def train_epoch(args, model, loader, optimizer):
    model.train()
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss_fn(model(x.cuda()), y.cuda()).backward()
        optimizer.step()
        if args.dry_run:
            break


def validate(model, loader):
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            loss_fn(model(x.cuda()), y.cuda())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    held_out = DataLoader(TensorDataset(*data[:200]), batch_size=50)
    for epoch in range(1, args.epochs + 1):
        train_epoch(args, model, loader, optimizer)
        validate(model, held_out)


if __name__ == "__main__":
    main()
