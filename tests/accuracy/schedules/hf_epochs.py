import sys

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    default_data_collator,
)


class Tokens(torch.utils.data.Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        ids = torch.randint(0, 512, (32,))
        return {"input_ids": ids, "labels": ids}


how = {
    "epochs": {"num_train_epochs": 3, "eval_strategy": "epoch"},
    "half": {"num_train_epochs": 2.5},
    "steps": {"max_steps": 100, "eval_strategy": "steps", "eval_steps": 10},
}[sys.argv[1]]
model = GPT2LMHeadModel(GPT2Config(vocab_size=512, n_embd=64, n_head=2, n_layer=2, n_positions=32))
Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="out",
        report_to=[],
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=2,
        **how,
    ),
    train_dataset=Tokens(200),
    eval_dataset=Tokens(36),
    data_collator=default_data_collator,
).train()
