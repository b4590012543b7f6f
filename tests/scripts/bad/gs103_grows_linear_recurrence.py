import torch

torch.manual_seed(0)
A = torch.nn.Parameter(torch.eye(8) * 1.6 + torch.randn(8, 8) * 0.02)
B = torch.nn.Parameter(torch.randn(3, 8) * 0.1)
C = torch.nn.Parameter(torch.randn(8, 1) * 0.1)
opt = torch.optim.SGD([A, B, C], lr=1e-16)
for step in range(5):
    u = torch.randn(30, 16, 3)
    h = torch.zeros(16, 8)
    for t in range(30):
        h = h @ A + u[t] @ B  # expect: GS103
    loss = (h @ C).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
