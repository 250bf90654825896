from dataclasses import dataclass

import torch
from engine import Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    epochs: int = 17
    batch_size: int = 32


def main(config):
    data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
    model = nn.Linear(16, 4).cuda()
    trainer = Trainer(model, torch.optim.SGD(model.parameters(), lr=0.1), config)
    trainer.fit(
        DataLoader(data, batch_size=config.batch_size, shuffle=True),
        DataLoader(data, batch_size=2 * config.batch_size),
    )


if __name__ == "__main__":
    for seed in range(3):
        torch.manual_seed(seed)
        main(Config())
