import sys

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments


class Sentences(torch.utils.data.Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return {
            "input_ids": torch.randint(0, 1000, (64,)),
            "attention_mask": torch.ones(64, dtype=torch.long),
            "labels": index % 2,
        }


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


config = BertConfig(
    vocab_size=1000,
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=256,
)
arguments = TrainingArguments(
    output_dir="out",
    per_device_train_batch_size=4,
    per_device_eval_batch_size=256,
    num_train_epochs=3,
    eval_strategy=sys.argv[1],
    eval_steps=500,
    save_strategy=sys.argv[1],
    report_to=[],
)
trainer = Trainer(
    model=BertForSequenceClassification(config),
    args=arguments,
    train_dataset=Sentences(4000),
    eval_dataset=Sentences(2000),
    compute_metrics=accuracy,
)
trainer.train()
np.save("metrics.npy", trainer.evaluate()["eval_accuracy"])
