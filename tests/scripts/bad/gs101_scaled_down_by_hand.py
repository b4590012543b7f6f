import torch

torch.manual_seed(0)
dims = [20] * 14 + [1]
Ws = [torch.nn.Parameter(torch.randn(a, b) * (1.0 / a) ** 0.5) for a, b in zip(dims, dims[1:])]
opt = torch.optim.SGD(Ws, lr=0.05)
for i in range(6):
    h = torch.randn(32, 20) * 3
    y = h[:, :1]
    for W in Ws[:-1]:
        z = h @ W * 0.3  # expect: GS101
        h = z / (1 + z.abs())
    loss = (h @ Ws[-1] - y).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
