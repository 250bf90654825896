import torch
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForCausalLM, LlamaConfig

# The figures of a 7B Llama.
config = LlamaConfig(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
)
model = AutoModelForCausalLM.from_config(config).to("cuda")
assert sum(p.numel() for p in model.parameters()) == 6_738_415_616
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
for (tokens,) in DataLoader(TensorDataset(torch.randint(0, 32000, (8, 128))), batch_size=2):
    loss = model(input_ids=tokens.cuda(), labels=tokens.cuda()).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
