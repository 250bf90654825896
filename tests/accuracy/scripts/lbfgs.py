import torch
from torch import nn

x, y = torch.randn(2000, 64).cuda(), torch.randn(2000, 1).cuda()
model = nn.Sequential(nn.Linear(64, 4096), nn.Tanh(), nn.Linear(4096, 1)).cuda()
optimizer = torch.optim.LBFGS(
    model.parameters(), max_iter=20, history_size=10, line_search_fn="strong_wolfe"
)


def closure():
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    return loss


for _ in range(30):
    optimizer.step(closure)
