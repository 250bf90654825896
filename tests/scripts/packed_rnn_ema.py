import torch, copy, torch.nn as nn, torch.nn.functional as F, numpy as np
from torch.utils.data import DataLoader, TensorDataset

torch.backends.cudnn.benchmark = True
torch.manual_seed(0)
torch.cuda.manual_seed_all(0)
device = torch.device("cuda:0")
print(torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory)


class Net(nn.Module):
    def __init__(s):
        super().__init__()
        s.emb = nn.Embedding(1000, 64)
        s.gru = nn.GRU(64, 64, 2, bidirectional=True, batch_first=True, dropout=0.1)
        s.att = nn.MultiheadAttention(128, 4, batch_first=True)
        enc = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
        s.enc = nn.TransformerEncoder(enc, 2)
        s.lstm = nn.LSTM(128, 32, batch_first=True)
        s.fc = nn.Linear(32, 10)

    def forward(s, x, lens):
        e = s.emb(x)
        y, _ = s.gru(e)
        y, _ = s.att(y, y, y)
        mask = torch.arange(x.size(1), device=x.device)[None] >= lens[:, None]
        y = s.enc(y, src_key_padding_mask=mask)
        p = nn.utils.rnn.pack_padded_sequence(
            y, lens.cpu().clamp(min=1), batch_first=True, enforce_sorted=False
        )
        o, (h, c) = s.lstm(p)
        o, _ = nn.utils.rnn.pad_packed_sequence(o, batch_first=True, total_length=x.size(1))
        return s.fc(h[-1])


model = nn.DataParallel(Net()).to(device) if torch.cuda.device_count() > 1 else Net().to(device)
ema = copy.deepcopy(model)
ds = TensorDataset(
    torch.randint(0, 1000, (512, 20)), torch.randint(1, 20, (512,)), torch.randint(0, 10, (512,))
)
dl = DataLoader(ds, batch_size=64, shuffle=True)
opt = torch.optim.AdamW(
    [
        {"params": model.emb.parameters(), "lr": 1e-3},
        {"params": [p for n, p in model.named_parameters() if not n.startswith("emb")]},
    ],
    lr=1e-4,
)
sch = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
best = 1e9
for ep in range(3):
    model.train()
    for x, l, y in dl:
        x, l, y = x.cuda(non_blocking=True), l.cuda(), y.cuda()
        out = model(x, l)
        loss = F.cross_entropy(out, y, label_smoothing=0.1)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sch.step()
        with torch.no_grad():
            for a, b in zip(ema.parameters(), model.parameters()):
                a.mul_(0.99).add_(b, alpha=0.01)
        acc = (out.argmax(1) == y).float().mean().item()
        pred = out.topk(3)[1].tolist()
    model.eval()
    with torch.no_grad():
        ps = np.concatenate(
            [F.softmax(model(x.to(device), l.to(device)), -1).cpu().numpy() for x, l, y in dl]
        )
