# Baseline for the pipe-leak contest: an LSTM autoencoder over a whole week of sensor readings.
# A leak is something that the network has not seen before, so it is reconstructed badly.
#
# Runs on Colab with the data set under /content/data. With the default settings it wants an A100.
import argparse
import glob
import os

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from google.colab import drive
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

parser = argparse.ArgumentParser()
parser.add_argument("--hidden", type=int, default=1024)
parser.add_argument("--window", type=int, default=10080, help="rows, one a minute: a week")
parser.add_argument("--stride", type=int, default=60, help="rows from one window to the next")
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--test-files", type=int, default=20, help="of each network, to score")
args = parser.parse_args()

HIDDEN = args.hidden
WINDOW = args.window
STRIDE = args.stride
BATCH_SIZE = args.batch_size
EPOCHS = args.epochs
LR = args.lr
TEST_FILES = args.test_files

DATA = "/content/data"
OUT = "/content/drive/MyDrive/leak_detection"

drive.mount("/content/drive")
os.makedirs(OUT, exist_ok=True)
torch.manual_seed(42)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
print("device:", device)

# ---- data
df_A = pd.read_csv("/content/data/train/TRAIN_A.csv")
df_B = pd.read_csv("/content/data/train/TRAIN_B.csv")
print(f"TRAIN_A shape: {df_A.shape}")
print(f"TRAIN_B shape: {df_B.shape}")

features = [c for c in df_A.columns if c not in ("timestamp", "anomaly")]


def normalize(df):
    values = df[features].to_numpy(dtype=np.float32)
    return (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)


class WindowDataset(Dataset):
    def __init__(self, values, window, stride):
        self.values = torch.from_numpy(values)
        self.window = window
        self.starts = range(0, len(values) - window + 1, stride)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, idx):
        start = self.starts[idx]
        return self.values[start : start + self.window]


train_dataset = ConcatDataset([WindowDataset(normalize(df), WINDOW, STRIDE) for df in (df_A, df_B)])
train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
print(f"{len(train_dataset)} windows, {len(train_loader)} steps per epoch")


# ---- model
class LSTMAutoencoder(nn.Module):
    def __init__(self, n_features, hidden):
        super().__init__()
        self.encoder = nn.LSTM(n_features, hidden, batch_first=True)
        self.latent = nn.Linear(hidden, hidden // 16)
        self.decoder = nn.LSTM(hidden // 16, hidden * 3 // 4, batch_first=True)
        self.head = nn.Linear(hidden * 3 // 4, n_features)

    def forward(self, x):
        x, _ = self.encoder(x)
        x = torch.relu(self.latent(x))
        x, _ = self.decoder(x)
        return self.head(x)


model = LSTMAutoencoder(len(features), HIDDEN).to(device)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=LR)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# ---- training
history = []
for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    bar = tqdm(train_loader, desc=f"epoch {epoch + 1}/{EPOCHS}")
    for x in bar:
        x = x.to(device)
        optimizer.zero_grad()
        loss = criterion(model(x), x)
        loss.backward()
        optimizer.step()
        total += loss.item()
        bar.set_postfix(loss=loss.item())
    history.append(total / len(train_loader))
    print(f"epoch {epoch + 1}: loss {history[-1]:.5f}")
    torch.save(
        {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()},
        f"{OUT}/baseline.pt",
    )

# ---- scores: the reconstruction's error, with and without a leak
model.eval()
results = []
test_files = [
    path
    for network in ("C", "D")
    for path in sorted(glob.glob(f"{DATA}/test/{network}/*.csv"))[:TEST_FILES]
]
with torch.no_grad():
    for path in tqdm(test_files, desc="score"):
        df = pd.read_csv(path)
        rows = len(df) // WINDOW * WINDOW
        x = torch.from_numpy(normalize(df)[:rows]).reshape(-1, WINDOW, len(features)).to(device)
        error = ((model(x) - x) ** 2).mean(dim=2).flatten().cpu().numpy()
        leak = df["anomaly"].to_numpy()[:rows] == 1
        results.append(
            {
                "file": os.path.basename(path),
                "error_normal": error[~leak].mean(),
                "error_leak": error[leak].mean() if leak.any() else np.nan,
                "error_last": error[-1],
            }
        )

results = pd.DataFrame(results)
results.to_csv(f"{OUT}/results.csv", index=False)
print(results.describe().loc[["mean", "min", "max"]])
print(f"written: {OUT}/results.csv, {OUT}/baseline.pt")
