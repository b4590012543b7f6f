"""Fits Planck-like constants of very different size: gains of one formula are not layers."""
import torch

torch.manual_seed(0)
temperature = torch.linspace(300.0, 900.0, 50)
measured = 2.5e-3 * torch.exp(-1200.0 / temperature) / (1 + 4e-4 * temperature)

log_a = torch.tensor(-5.0, requires_grad=True)
energy = torch.tensor(1000.0, requires_grad=True)
slope = torch.tensor(3e-4, requires_grad=True)
opt = torch.optim.Adam([{"params": [log_a], "lr": 0.05}, {"params": [energy], "lr": 5.0}, {"params": [slope], "lr": 1e-6}])

for it in range(60):
    opt.zero_grad()
    rate = torch.exp(log_a) * torch.exp(-energy / temperature) / (1 + slope * temperature)
    residual = torch.log(rate) - torch.log(measured)
    loss = torch.sqrt(torch.mean(residual ** 2) + 1e-12)
    loss.backward()
    opt.step()
print(loss.item())
