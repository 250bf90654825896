from dataclasses import dataclass

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    default_data_collator,
)


class Tokens(torch.utils.data.Dataset):
    def __len__(self):
        return 512

    def __getitem__(self, i):
        ids = torch.randint(0, 4096, (256,))
        return {"input_ids": ids, "labels": ids}


@dataclass
class ModelArguments:
    layers: int = 4


model_args, training_args = HfArgumentParser(
    (ModelArguments, TrainingArguments)
).parse_args_into_dataclasses()
model = GPT2LMHeadModel(
    GPT2Config(vocab_size=4096, n_embd=256, n_head=4, n_layer=model_args.layers, n_positions=256)
)
Trainer(
    model=model,
    args=training_args,
    train_dataset=Tokens(),
    data_collator=default_data_collator,
).train()
