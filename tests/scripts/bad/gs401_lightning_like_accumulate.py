# accumulate_grad_batches, but the counter is never reset, and so is the gradient
import torch
from torch import nn


class Fabric:
    def __init__(self, model, every):
        self.model, self.every = model, every
        self.opt = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def manual_backward(self, loss):
        loss.backward()  # expect: GS401

    def maybe_step(self, i):
        if i % self.every == self.every - 1:
            self.opt.step()


torch.manual_seed(0)
fabric = Fabric(nn.Sequential(nn.Linear(7, 14), nn.ReLU(), nn.Linear(14, 2)), every=2)
for i in range(12):
    x = torch.randn(8, 7)
    fabric.manual_backward(nn.functional.cross_entropy(fabric.model(x), (x[:, 0] > 0).long()) / 2)
    fabric.maybe_step(i)
