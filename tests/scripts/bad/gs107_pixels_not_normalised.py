import torch
from torch import nn

torch.manual_seed(0)
images = torch.randint(0, 256, (256, 64)).float()  # 0 to 255, as they come
labels = (images[:, :32].sum(1) > images[:, 32:].sum(1)).long()
net = nn.Sequential(nn.Linear(64, 40), nn.Sigmoid(), nn.Linear(40, 40), nn.Sigmoid(), nn.Linear(40, 2))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(6):
    for i in range(0, 256, 64):
        out = net(images[i : i + 64])  # expect: GS107
        loss = nn.functional.cross_entropy(out, labels[i : i + 64])
        opt.zero_grad()
        loss.backward()
        opt.step()
