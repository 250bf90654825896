import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--where", choices=["before_forward", "after_forward", "after_step"])
parser.add_argument("--keep", action="store_true", help="fill gradients with zeros")
args = parser.parse_args()

model = nn.Sequential(*[nn.Linear(1024, 1024, bias=False) for _ in range(8)]).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(10):
    if args.where == "before_forward":
        optimizer.zero_grad(set_to_none=not args.keep)
    x = torch.randn(8192, 1024).cuda()
    loss = model(x).square().mean()
    if args.where == "after_forward":
        optimizer.zero_grad(set_to_none=not args.keep)
    loss.backward()
    optimizer.step()
    if args.where == "after_step":
        optimizer.zero_grad(set_to_none=not args.keep)
