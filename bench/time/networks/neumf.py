"""NeuMF for MovieLens 20M.

Source: NVIDIA/DeepLearningExamples, PyTorch/Recommendation/NCF/neumf.py.
"""

import torch
from torch import nn

USERS, ITEMS, FACTORS, LAYERS = 138493, 26744, 64, [256, 256, 128, 64]


class NeuMF(nn.Module):
    def __init__(self):
        super().__init__()
        self.mf_user = nn.Embedding(USERS, FACTORS)
        self.mf_item = nn.Embedding(ITEMS, FACTORS)
        self.mlp_user = nn.Embedding(USERS, LAYERS[0] // 2)
        self.mlp_item = nn.Embedding(ITEMS, LAYERS[0] // 2)
        sizes = zip(LAYERS[:-1], LAYERS[1:], strict=True)
        self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in sizes)
        self.final = nn.Linear(LAYERS[-1] + FACTORS, 1)

    def forward(self, users, items):
        mf = self.mf_user(users) * self.mf_item(items)
        x = torch.cat((self.mlp_user(users), self.mlp_item(items)), dim=1)
        for layer in self.mlp:
            x = nn.functional.dropout(nn.functional.relu(layer(x)), 0.5)
        return self.final(torch.cat((mf, x), dim=1))
