import sys

import bitsandbytes as bnb
import torch
from torch import nn

model = nn.Sequential(nn.Embedding(1000, 1000), nn.Linear(1000, 1000), nn.Linear(1000, 4)).cuda()
manager = bnb.optim.GlobalOptimManager.get_instance()
if "--single" in sys.argv:
    manager.register_module_override(model[0], "weight", {"optim_bits": 32})
optimizer = getattr(bnb.optim, sys.argv[1])(model.parameters(), lr=1e-4, betas=(0.9, 0.95))
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
for step in range(3):
    loss = model(torch.randint(0, 1000, (8,), device="cuda")).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    scheduler.step()
