import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Model(nn.Module):
    def __init__(self, width=4096, depth=52, words=32000):
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Linear(width, words, bias=False)
        self.apply(self.initialise)

    @torch.no_grad()
    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(mean=0.0, std=0.02)

    def forward(self, tokens):
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


# What is loaded keeps its values, whatever its size.
loaded = nn.Linear(1024, 1024, bias=False)
loaded.load_state_dict({"weight": torch.full((1024, 1024), 0.5)})
loaded.weight.data.mul_(3)
vectors = nn.Embedding.from_pretrained(torch.arange(1 << 20).float().view(-1, 1024))
assert loaded.weight.mean().item() == 1.5
assert vectors.weight[1, 2].item() == 1026
assert copy.deepcopy(loaded).weight.mean().item() == 1.5

model = Model().to(torch.bfloat16)
frozen = copy.deepcopy(model.blocks[0])
assert model.blocks[0].norm.weight.sum().item() == 4096 == frozen.norm.weight.sum().item()
model.to("cuda")
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
for (tokens,) in DataLoader(TensorDataset(torch.randint(0, 32000, (8, 128))), batch_size=2):
    loss = model(tokens.cuda()).float().square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
