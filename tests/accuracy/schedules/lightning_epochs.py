import sys

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(16, 4)

    def training_step(self, batch, _):
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


how = {
    "epochs": {"max_epochs": 4, "accumulate_grad_batches": 3},
    "steps": {"max_steps": 50},
    "every": {"max_epochs": 6, "check_val_every_n_epoch": 1, "limit_train_batches": 10},
}[sys.argv[1]]
data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
L.Trainer(accelerator="gpu", devices=1, logger=False, enable_checkpointing=False, **how).fit(
    Classifier(), DataLoader(data, batch_size=32, shuffle=True), DataLoader(data, batch_size=64)
)
