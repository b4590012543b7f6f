import torch
import torch.nn as nn

torch.manual_seed(0)
inputs = torch.randn(90, 10)
labels = inputs[:, :3].argmax(dim=1)
net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
for step in range(200):
    opt.zero_grad(set_to_none=True)
    loss = loss_fn(net(inputs), labels)
    loss.backward()
    opt.step()
print("final", loss.item())
