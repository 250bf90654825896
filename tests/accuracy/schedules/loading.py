import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

HOW, SECONDS, WORKERS = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])


class Costly(Dataset):
    def __len__(self):
        return 512

    def __getitem__(self, i):
        if HOW == "cpu":
            end = time.process_time() + SECONDS
            while time.process_time() < end:
                pass
        elif HOW == "wait":
            time.sleep(SECONDS)
        elif HOW == "torch":
            x = torch.zeros(16)
            for _ in range(300):
                x = x + 1
        elif HOW == "cuda":
            return torch.ones(16).cuda(), 1
        return torch.randn(16), i % 4


loader = DataLoader(Costly(), batch_size=8, shuffle=True, num_workers=WORKERS)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x.cuda()), y.cuda()).backward()
        optimizer.step()
