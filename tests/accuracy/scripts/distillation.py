import torch
from torch import nn
from torch.nn import functional as F


def mlp(width):
    return nn.Sequential(
        nn.Linear(256, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


teacher, student = mlp(2048).cuda().eval(), mlp(256).cuda()
teacher.requires_grad_(False)
optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
T = 4.0
for _ in range(20):
    x = torch.randn(4096, 256).cuda()
    y = torch.randint(0, 10, (4096,)).cuda()
    with torch.no_grad():
        soft = F.softmax(teacher(x) / T, dim=-1)
    logits = student(x)
    distil = F.kl_div(F.log_softmax(logits / T, dim=-1), soft, reduction="batchmean") * T * T
    loss = 0.5 * distil + 0.5 * F.cross_entropy(logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
