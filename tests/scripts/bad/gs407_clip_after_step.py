import torch
import torch.nn as nn

torch.manual_seed(0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)


def fit(model, batches):
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches:
        opt.zero_grad(set_to_none=False)
        loss = (model(x) - y).abs().mean()
        loss.backward()
        opt.step()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)  # expect: GS407


fit(Model(), [(torch.randn(8, 6), torch.randn(8)) for _ in range(9)])
