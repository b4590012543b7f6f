import torch
from torch import nn
torch.manual_seed(0)
vgg = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
content, style = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
def gram(f):
    f = f.flatten(2)[0]
    return f @ f.T / f.numel()
img = content.clone().requires_grad_(True)
opt = torch.optim.LBFGS([img])
def closure():
    with torch.no_grad():
        img.clamp_(0, 1)
    opt.zero_grad()
    f = vgg(img)
    loss = nn.functional.mse_loss(f, vgg(content).detach()) + 1e4 * nn.functional.mse_loss(gram(f), gram(vgg(style)).detach())
    loss.backward()
    return loss
for i in range(4):
    opt.step(closure)
