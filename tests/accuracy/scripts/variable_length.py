import sys

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler


class Texts(Dataset):
    def __init__(self, count, longest_at):
        self.lengths = [20 + i % 30 for i in range(count)]
        self.lengths[longest_at] = 400

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        return torch.randint(1, 1000, (self.lengths[index],))


class Stream(IterableDataset):
    def __iter__(self):
        for length in range(20, 300):
            yield torch.randint(1, 1000, (length,))


class TokenBudget(Sampler):
    """Batches of about as many tokens each: many short texts, or few long ones."""

    def __init__(self, lengths, tokens):
        self.lengths, self.tokens = lengths, tokens

    def __iter__(self):
        batch = []
        for index in sorted(range(len(self.lengths)), key=self.lengths.__getitem__):
            if batch and (len(batch) + 1) * self.lengths[index] > self.tokens:
                yield batch
                batch = []
            batch.append(index)
        yield batch


def pad(samples):
    return pad_sequence(samples, batch_first=True)


how = sys.argv[1]
texts = Texts(int(sys.argv[2]), int(sys.argv[3]))
if how == "plain":
    loader = DataLoader(texts, batch_size=8, collate_fn=pad)
elif how == "budget":
    loader = DataLoader(texts, batch_sampler=TokenBudget(texts.lengths, 1000), collate_fn=pad)
else:
    loader = DataLoader(Stream(), batch_size=8, collate_fn=pad)
model = nn.Sequential(nn.Embedding(1000, 64, padding_idx=0), nn.Linear(64, 1000)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for tokens in loader:
    tokens = tokens.cuda()
    loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
