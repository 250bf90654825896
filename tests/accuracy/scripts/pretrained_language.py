import sys

import torch
from transformers import AutoModelForCausalLM

name, how = sys.argv[1:3]
options = {
    "plain": {},
    "half": {"torch_dtype": torch.float16},
    "auto": {"torch_dtype": "auto", "device_map": "auto", "attn_implementation": "eager"},
}
model = AutoModelForCausalLM.from_pretrained(name, **options[how])
model.to("cuda")
model.train()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
for step in range(3):
    tokens = torch.randint(0, 1000, (2, 32), device="cuda")
    model(input_ids=tokens, labels=tokens).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
model.save_pretrained("out")
