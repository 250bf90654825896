import torch
from torch import nn
from torch.nn import functional as F


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(80, 256)
        self.cell = nn.GRUCell(256, 256)
        self.head = nn.Linear(256, 33)

    def forward(self, frames):
        state = frames.new_zeros(frames.shape[1], 256)
        states = []
        for frame in self.encoder(frames):
            state = self.cell(frame, state)
            states.append(state)
        return F.log_softmax(self.head(torch.stack(states)), dim=-1)


model = Listener().cuda()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(10):
    frames = torch.randn(40, 64, 80).cuda()
    targets = torch.randint(1, 33, (64, 20)).cuda()
    with torch.autograd.graph.save_on_cpu(pin_memory=True):
        scores = model(frames)
    loss = F.ctc_loss(scores, targets, torch.full((64,), 40), torch.full((64,), 20))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
