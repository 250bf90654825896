import torch
from torch.nn import functional as F


class Trainer:
    def __init__(self, model, optimizer, config):
        self.model = model
        self.optimizer = optimizer
        self.config = config

    def run_epoch(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x.cuda()), y.cuda()).backward()
            self.optimizer.step()

    def fit(self, loader, held_out):
        for epoch in range(self.config.epochs):
            self.run_epoch(loader)
            with torch.inference_mode():
                self.model.eval()
                for x, y in held_out:
                    self.model(x.cuda())
