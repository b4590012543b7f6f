import torch

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(5, 12), torch.nn.ReLU(), torch.nn.Linear(12, 1), torch.nn.Sigmoid())
opt = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(30, 5)
y = (x.sum(1) > 0).float()
bce = torch.nn.BCEWithLogitsLoss()
for i in range(12):
    p = net(x).squeeze(1)  # expect: GS602
    opt.zero_grad()
    bce(p, y).backward()
    opt.step()
