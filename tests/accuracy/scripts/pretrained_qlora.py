import sys

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Trainer, TrainingArguments


class Tokens(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        tokens = torch.randint(0, 1000, (32,))
        return {"input_ids": tokens, "labels": tokens}


model = AutoModelForCausalLM.from_pretrained(
    sys.argv[1],
    device_map="auto",
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    ),
)
model = prepare_model_for_kbit_training(model)
model = get_peft_model(model, LoraConfig(r=8, target_modules=["q_proj", "v_proj"]))
arguments = TrainingArguments(
    output_dir="out",
    per_device_train_batch_size=4,
    max_steps=10,
    bf16=True,
    optim="paged_adamw_8bit",
    report_to=[],
)
Trainer(model=model, args=arguments, train_dataset=Tokens()).train()
