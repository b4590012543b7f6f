"""A forward that was decorated for inference and is used in training."""

# raises: RuntimeError

import torch


class Regressor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 20), torch.nn.GELU(), torch.nn.Linear(20, 1)
        )

    @torch.no_grad()  # expect: GS302
    def forward(self, x):
        return self.layers(x)


torch.manual_seed(0)
regressor = Regressor()
optimizer = torch.optim.Adam(regressor.parameters(), lr=1e-2)
for _ in range(4):
    inputs = torch.rand(10, 3)
    prediction = regressor(inputs)
    loss = torch.mean((prediction - inputs.sum(1, keepdim=True)) ** 2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
