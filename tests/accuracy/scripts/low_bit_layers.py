import sys

import bitsandbytes as bnb
import torch
from torch import nn

if sys.argv[1] == "4bit":
    layer = bnb.nn.LinearNF4(4096, 4096, bias=False, compute_dtype=torch.bfloat16)
elif sys.argv[1] == "8bit":
    layer = bnb.nn.Linear8bitLt(4096, 4096, bias=False, has_fp16_weights=False, threshold=6.0)
else:
    layer = bnb.nn.OutlierAwareLinear(4096, 4096)
model = nn.Sequential(nn.Linear(64, 4096), layer.to(torch.bfloat16), nn.Linear(4096, 4)).cuda()
optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
for step in range(3):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(torch.randn(16, 64, device="cuda")).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
