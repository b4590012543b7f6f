import torch
import torch.nn as nn

torch.manual_seed(0)


class DeepSigmoid(nn.Module):
    def __init__(self, depth=12, width=32):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sigmoid(layer(x))  # expect: GS101
        return self.head(x)


net = DeepSigmoid()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(8):
    x = torch.randn(32, 32)
    loss = nn.functional.mse_loss(net(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
