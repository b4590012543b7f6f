import torch
import torch.nn as nn

torch.manual_seed(0)
body = nn.ModuleList([nn.Linear(10, 10) for _ in range(3)])
head = nn.Linear(10, 2)
for p in body.parameters():
    p.requires_grad = False
opt = torch.optim.Adam(head.parameters(), lr=0.005)
x, y = torch.randn(30, 10), torch.randint(0, 2, (30,))
for epoch in range(12):
    if epoch and epoch % 3 == 0:
        layer = body[3 - epoch // 3]
        for p in layer.parameters():
            p.requires_grad = True
        opt.add_param_group({"params": layer.parameters(), "lr": 1e-3})
    h = x
    for layer in body:
        h = torch.relu(layer(h))
    loss = nn.functional.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
