import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Linear(16, 4).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()

critic = nn.Linear(4, 1).cuda()
critic_optimizer = torch.optim.RMSprop(critic.parameters())
for epoch in range(7):
    for i, (x, y) in enumerate(loader):
        critic_optimizer.zero_grad()
        critic(model(x.cuda()).detach()).mean().backward()
        critic_optimizer.step()
        if i % 5 == 0:
            optimizer.zero_grad()
            critic(model(x.cuda())).mean().backward()
            optimizer.step()
