import numpy as np
import torch

rng = np.random.default_rng(0)
torch.manual_seed(0)
data = rng.normal(size=(80, 4)).astype("float32")
labels = (data.sum(1, keepdims=True) > 0).astype("float32")
net = torch.nn.Sequential(torch.nn.Linear(4, 20), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(20, 1))
bce = torch.nn.BCEWithLogitsLoss()
opt = torch.optim.Adagrad(net.parameters(), lr=0.05)


def batches(n):
    for _ in range(n):
        idx = rng.integers(0, 80, 16)
        yield torch.from_numpy(data[idx]), torch.from_numpy(labels[idx])


history = []
for xb, yb in batches(20):
    opt.zero_grad()
    loss = bce(net(xb), yb)
    loss.backward()
    opt.step()
    history.append(float(loss.detach().numpy()))
