# pixels: the probabilities are permuted and flattened before the loss
import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
for it in range(4):
    img, mask = torch.rand(2, 3, 10, 10), torch.randint(0, 5, (2, 10, 10))
    prob = torch.softmax(net(img), dim=1)  # expect: GS602
    flat = prob.permute(0, 2, 3, 1).reshape(-1, 5)
    loss = nn.functional.cross_entropy(flat, mask.reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
