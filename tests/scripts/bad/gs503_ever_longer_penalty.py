import torch
import torch.nn as nn

torch.manual_seed(0)


class Trainer:
    def __init__(self):
        self.theta = nn.Parameter(torch.randn(5))
        self.opt = torch.optim.Adam([self.theta], lr=0.02)
        self.history = []

    def fit(self, n):
        for _ in range(n):
            self.history.append((self.theta - torch.randn(5)).abs().sum())
            smooth = sum(self.history) / len(self.history)
            self.opt.zero_grad()
            smooth.backward(retain_graph=True)  # expect: GS503
            self.opt.step()


Trainer().fit(10)
