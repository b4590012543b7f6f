import torch

torch.manual_seed(0)
net = torch.nn.Linear(5, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.5)
scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
for step in range(12):
    x = torch.randn(8, 5)
    optimizer.zero_grad  # looks like a call, and is none
    loss = (net(x) - x[:, :2]).abs().mean()
    scaler.scale(loss).backward()  # expect: GS401
    scaler.step(optimizer)
    scaler.update()
