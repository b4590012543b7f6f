import torch

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(5, 10), torch.nn.ReLU(), torch.nn.Linear(10, 1))
opt = torch.optim.SGD(net.parameters(), lr=1e-3)
loader = [(torch.randn(10, 5), torch.randn(10, 1)) for _ in range(6)]
for epoch in range(4):
    opt.zero_grad()
    for inputs, targets in loader:
        err = (net(inputs) - targets).square().mean()
        err.backward()  # expect: GS401
        opt.step()
