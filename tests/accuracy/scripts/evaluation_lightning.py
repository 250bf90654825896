import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.Linear(512, 4))

    def training_step(self, batch, _):
        return self.layers(batch[0]).square().mean()

    def validation_step(self, batch, _):
        self.log("score", self.layers(batch[0]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


trainer = lightning.Trainer(
    max_epochs=5,
    accelerator="gpu",
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    num_sanity_val_steps=0,
)
train_set = TensorDataset(torch.randn(640, 64))
valid_set = TensorDataset(torch.randn(20_000, 64))
trainer.fit(Model(), DataLoader(train_set, batch_size=8), DataLoader(valid_set, batch_size=1000))
