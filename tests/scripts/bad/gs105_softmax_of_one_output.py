import torch
import torch.nn as nn

torch.manual_seed(0)
clf = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softmax(dim=1))
optim = torch.optim.Adam(clf.parameters(), lr=1e-3)
X = torch.randn(80, 10)
y = (X[:, :2].sum(1) > 0).float().unsqueeze(1)
criterion = nn.BCELoss()
for epoch in range(10):
    for k in range(0, 80, 20):
        optim.zero_grad()
        out = clf(X[k : k + 20])  # expect: GS105
        loss = criterion(out, y[k : k + 20])
        loss.backward()
        optim.step()
