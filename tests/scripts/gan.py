import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
images = torch.from_numpy(np.random.rand(1024, 1, 28, 28).astype("float32"))
loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True, drop_last=True)
G = nn.Sequential(nn.Linear(100, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh()).cuda()
D = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)).to(
    device
)
opt_g = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
bce = nn.BCEWithLogitsLoss()
for epoch in range(2):
    for i, (real,) in enumerate(loader):
        real = real.to(device)
        for _ in range(3):  # the critic steps more often
            noise = torch.randn(real.size(0), 100, device=device)
            fake = G(noise).view(-1, 1, 28, 28)
            d_real, d_fake = D(real), D(fake.detach())
            loss_d = bce(d_real, torch.ones_like(d_real)) + bce(d_fake, torch.zeros_like(d_fake))
            opt_d.zero_grad()
            loss_d.backward()
            opt_d.step()
        d_fake = D(fake)
        loss_g = bce(d_fake, torch.ones_like(d_fake))
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        accuracy = (d_real.detach().cpu().numpy() > 0).mean()
