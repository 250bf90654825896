"""A measured row as the plain training script that was measured, and as its model alone.

The loops do what the measured ones do, in the same order: where the model moves to the card, where
gradients are cleared, what is still alive when the next step begins (the outputs are). Images stand
in for CIFAR-10 resized to 86 x 86, tokens for WikiText-2 cut at the row's length: what they hold
does not matter, their number and shape do.

Source: github.com/Stone-ResearchLife/xMem, exp/trainer/train_loop.py and exp/trainer/trainer.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models import transformer

if TYPE_CHECKING:
    from rows import Row

_LEARNING_RATE = 0.001
# All are torch's own, by name. For Adafactor one version of the measured loop would take
# transformers' instead, but that holds two copies of the largest gradient while it steps, and the
# measured peak is lower than parameters, gradients and two such copies.
_OPTIMIZER = "torch.optim.{name}(model.parameters(), lr={lr})"

_IMAGES = '''\
"""{model}, {optimizer}, batches of {batch} images, as {id} was trained."""
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    def __len__(self):
        return 50000

    def __getitem__(self, index):
        return torch.zeros(3, 86, 86), index % 10


device = torch.device("cuda:0")
loader = DataLoader(Images(), batch_size={batch}, shuffle=True)
{definition}
model.to(device)
model.train()
optimizer = {optimizer_call}
criterion = nn.CrossEntropyLoss()
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
for step, (images, labels) in enumerate(loader):
{clear_0}    images, labels = images.to(device), labels.to(device)
    outputs = model(images)
    loss = criterion(outputs, labels)
{clear_1}    loss.backward()
    optimizer.step()
    _, predicted = torch.max(outputs, 1)
{clear_2}    scheduler.step()
    if step == 3:
        break
'''

_TOKENS = '''\
"""{model}, {optimizer}, batches of {batch} texts, as {id} was trained."""
import torch
import transformers
from torch.utils.data import DataLoader, Dataset

TOKENS = {sequence}


class Texts(Dataset):
    def __len__(self):
        return 36718

    def __getitem__(self, index):
        return torch.full((TOKENS,), 7)


def collate(texts):
    ids = torch.stack(texts)
    return {{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}}


device = torch.device("cuda:0")
loader = DataLoader(Texts(), batch_size={batch}, shuffle=True, collate_fn=collate)
{definition}
model.train()
optimizer = {optimizer_call}
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
model.to(device)
for step, batch in enumerate(loader):
{clear_0}    batch = {{key: value.to(device) for key, value in batch.items()}}
    outputs = model(**batch)
{clear_1}    loss = outputs.loss
    loss.backward()
    optimizer.step()
{clear_2}    if step == 3:
        break
    scheduler.step()
'''


def training_script(row: Row) -> str:
    """Return the text of the script that trains this row.

    Raises:
        UnknownModelError: if the model's configuration is not written down.
    """
    clearings = {
        f"clear_{place}": "    optimizer.zero_grad()\n" if row.zero_grad == place else ""
        for place in (0, 1, 2)
    }
    return (_IMAGES if row.sequence is None else _TOKENS).format(
        id=row.id,
        model=row.model,
        optimizer=row.optimizer,
        batch=row.batch,
        sequence=row.sequence,
        definition=model_definition(row),
        optimizer_call=_OPTIMIZER.format(name=row.optimizer, lr=_LEARNING_RATE),
        **clearings,
    )


def model_definition(row: Row) -> str:
    """Return the lines that build `model` in the host's memory, for after the imports."""
    if row.sequence is None:
        # The measured repository builds its smallest models with ten classes, all others as they
        # come.
        classes = "" if row.classes == 1000 else f"num_classes={row.classes}"
        return f"model = torchvision.models.{row.model}({classes})"
    found = transformer(row.model)
    return (
        f"# {found.source}\n"
        f"config = transformers.AutoConfig.for_model(**{found.config!r})\n"
        f"model = transformers.{found.head}.from_config(config)"
    )
