import torch

torch.manual_seed(0)
W_h = torch.nn.Parameter(torch.eye(12) * 1.8 + torch.randn(12, 12) * 0.1)
W_x = torch.nn.Parameter(torch.randn(3, 12) * 0.1)
w_o = torch.nn.Parameter(torch.randn(12, 1) * 0.1)
opt = torch.optim.Adam([W_h, W_x, w_o], lr=1e-6)
for epoch in range(5):
    seq = torch.randn(30, 8, 3)
    h = torch.zeros(8, 12)
    for x_t in seq:
        h = torch.relu(x_t @ W_x + h @ W_h)  # expect: GS103
    loss = ((h @ w_o) - 1).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
