import torch
import torch.nn.functional as F


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(9, 18)
        self.fc2 = torch.nn.Linear(18, 5)

    def forward(self, x):
        return torch.sigmoid(self.fc2(F.elu(self.fc1(x))))  # expect: GS602


torch.manual_seed(0)
net = Net()
criterion = torch.nn.MultiLabelSoftMarginLoss()
bce = torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(5) * 2)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(6):
    x = torch.randn(14, 9)
    loss = bce(net(x), (x[:, :5] > 0).float())
    opt.zero_grad()
    loss.backward()
    opt.step()
