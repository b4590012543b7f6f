"""An epoch's loss is added up with its graphs, and the total runs backward at every batch."""

# raises: RuntimeError

import torch

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(5, 10), torch.nn.ReLU(), torch.nn.Linear(10, 1))
sgd = torch.optim.SGD(net.parameters(), lr=0.01)
for epoch in range(2):
    total = 0.0
    for _ in range(4):
        xb = torch.randn(8, 5)
        yb = xb.sum(1, keepdim=True)
        total = total + (net(xb) - yb).pow(2).mean()  # expect: GS502
        sgd.zero_grad()
        total.backward()
        sgd.step()
    print(f"epoch {epoch}: {float(total):.3f}")
