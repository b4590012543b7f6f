import torch
import torch.nn.functional as F

torch.manual_seed(0)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3)
        self.out = torch.nn.Linear(4 * 36, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.conv(x)).flatten(1))


class Trainer:
    def __init__(self, net):
        self.net = net
        self.optim = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    def compute_gradients(self, x, y):
        loss = F.cross_entropy(self.net(x), y)
        loss.backward()
        return loss.item()

    def apply_gradients(self):
        self.net.zero_grad(set_to_none=False)  # expect: GS402
        self.optim.step()


trainer = Trainer(Net())
for step in range(12):
    trainer.compute_gradients(torch.randn(8, 1, 8, 8), torch.randint(0, 2, (8,)))
    trainer.apply_gradients()
