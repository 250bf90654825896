import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments


class Sentences(Dataset):
    def __len__(self):
        return 200

    def __getitem__(self, i):
        return {
            "input_ids": torch.randint(0, 1000, (64,)),
            "attention_mask": torch.ones(64, dtype=torch.long),
            "labels": i % 2,
        }


config = BertConfig(
    vocab_size=1000,
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=256,
)
model = BertForSequenceClassification(config)
args = TrainingArguments(
    output_dir="out",
    per_device_train_batch_size=16,
    num_train_epochs=1,
    fp16=True,
    report_to=[],
    gradient_checkpointing=True,
    gradient_accumulation_steps=2,
    dataloader_num_workers=2,
)
trainer = Trainer(model=model, args=args, train_dataset=Sentences(), eval_dataset=Sentences())
trainer.train()
