import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda")
model = nn.Sequential(nn.Linear(256, 1024), nn.ReLU(), nn.Linear(1024, 10)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
train_set = TensorDataset(torch.randn(640, 256), torch.randint(0, 10, (640,)))
valid_set = TensorDataset(torch.randn(20_000, 256), torch.randint(0, 10, (20_000,)))
train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
valid_loader = DataLoader(valid_set, batch_size=4000)

for epoch in range(20):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
    model.eval()
    correct = 0
    with torch.inference_mode():
        for x, y in valid_loader:
            logits = model(x.to(device))
            correct += (logits.argmax(1) == y.to(device)).sum().item()
    print(epoch, loss.item(), correct / len(valid_set))
