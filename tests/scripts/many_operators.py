import torch, torch.nn as nn
from torch.utils.checkpoint import checkpoint

torch.set_default_device("cuda")
g = torch.Generator(device="cuda").manual_seed(3)
m = nn.Sequential(
    *[
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=4), nn.GroupNorm(4, 16), nn.SiLU())
        for _ in range(4)
    ]
)
up = nn.ConvTranspose2d(16, 3, 4, 2, 1)
o = torch.optim.SGD(
    list(m.parameters()) + list(up.parameters()), lr=0.1, momentum=0.9, nesterov=True
)
t = torch.tensor([1.0, 2.0, 3.0], device="cuda")
s = torch.cuda.Stream()
for i in range(4):
    x = torch.randn(4, 16, 32, 32, generator=g)
    y = x
    for j, l in enumerate(m):
        y = checkpoint(l, y, use_reentrant=bool(j % 2))
    y = up(y)
    y = torch.nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
    f = torch.fft.rfft2(y.float()).abs().mean()
    with torch.cuda.stream(s):
        z = torch.einsum("bchw,c->bhw", y, t)
    idx = torch.randperm(4)
    srt = z.flatten().sort()[0]
    u = torch.unique(torch.randint(0, 5, (10,)))
    mn = torch.multinomial(torch.softmax(torch.randn(4, 5), -1), 1)
    loss = f + z.mean() + srt[:3].sum()
    if torch.isfinite(loss):
        loss.backward()
    torch.cuda.synchronize()
    e = torch.cuda.Event(enable_timing=True)
    e.record()
    o.step()
    o.zero_grad()
    print(torch.cuda.max_memory_allocated() / 1e6, loss)
