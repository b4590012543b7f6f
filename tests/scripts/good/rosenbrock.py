import torch

torch.manual_seed(0)
p = torch.tensor([-1.5, 2.0], requires_grad=True)
opt = torch.optim.Adam([p], lr=0.05)
for k in range(150):
    x, y = p
    f = (1 - x) ** 2 + 100 * (y - x ** 2) ** 2
    opt.zero_grad()
    f.backward()
    opt.step()
print(p, f.item())
