import argparse

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--precision", choices=["fp32", "fp16", "bf16"], default="fp32")
args = parser.parse_args()

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": None}[args.precision]

layers = []
for _ in range(6):
    layers += [nn.Linear(1024, 1024), nn.GELU()]
model = nn.Sequential(*layers, nn.Linear(1024, 10)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cuda", enabled=dtype is torch.float16)

for step in range(100):
    x = torch.randn(8192, 1024).to(device)
    y = torch.randint(0, 10, (8192,)).to(device)
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
        loss = F.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    if step % 10 == 0:
        print(f"{step}: {loss.item():.4f}")
