import torch
torch.manual_seed(0)
k = torch.tensor(1.5, requires_grad=True)
c = torch.tensor(2.0, requires_grad=True)
opt = torch.optim.Adam([k, c], lr=0.05)
for i in range(10):
    x, v = torch.tensor(1.0), torch.tensor(0.0)
    for t in range(200):
        a = -k * x - c * v
        v = v + 0.05 * a
        x = x + 0.05 * v
    loss = (x - 0.01).pow(2)
    opt.zero_grad()
    loss.backward()
    opt.step()
