import torch
from torch import nn


class Module(nn.Module):
    def training_step(self, batch, i):
        raise NotImplementedError


class LitNet(Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, 4))

    def training_step(self, batch, i):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Trainer:
    def __init__(self, epochs, accumulate=2, clip=1.0):
        self.epochs, self.accumulate, self.clip = epochs, accumulate, clip

    def fit(self, module, loader):
        opt = module.configure_optimizers()
        module.train()
        for _ in range(self.epochs):
            for i, batch in enumerate(loader):
                loss = module.training_step(batch, i) / self.accumulate
                loss.backward()
                if (i + 1) % self.accumulate == 0:
                    nn.utils.clip_grad_norm_(module.parameters(), self.clip)
                    opt.step()
                    opt.zero_grad()


torch.manual_seed(0)
data = [(torch.randn(8, 6), torch.randint(0, 4, (8,))) for _ in range(6)]
Trainer(epochs=3).fit(LitNet(), data)
