import random

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset


class Sentences(Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, i):
        return torch.randint(1, 5000, (64 + i % 64,)), i % 2


def collate(rows):
    ids, labels = zip(*rows)
    return pad_sequence(ids, batch_first=True), torch.tensor(labels)


def seed_worker(worker_id):
    np.random.seed(worker_id)
    random.seed(worker_id)


loader = DataLoader(
    Sentences(),
    batch_size=50,
    shuffle=True,
    collate_fn=collate,
    num_workers=4,
    worker_init_fn=seed_worker,
    generator=torch.Generator().manual_seed(0),
    pin_memory=True,
    persistent_workers=True,
    prefetch_factor=4,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5000, 128, padding_idx=0)
        self.head = nn.Linear(128, 2)

    def forward(self, ids):
        return self.head(self.embedding(ids).mean(1))


model = Net().cuda()
optimizer = torch.optim.Adam(model.parameters())
for epoch in range(3):
    for ids, labels in loader:
        logits = model(ids.to("cuda", non_blocking=True))
        loss = nn.functional.cross_entropy(logits, labels.to("cuda", non_blocking=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
