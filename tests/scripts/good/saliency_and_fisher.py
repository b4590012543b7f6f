# gradients for their own sake, of a model that is trained elsewhere
import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4)).eval()
images, labels = torch.randn(12, 1, 8, 8), torch.randint(0, 4, (12,))
fisher = [torch.zeros_like(p) for p in model.parameters()]
for image, label in zip(images, labels, strict=True):
    model.zero_grad()
    logp = model(image[None]).log_softmax(1)[0, label]
    logp.backward()
    for total, p in zip(fisher, model.parameters(), strict=True):
        total += p.grad**2
picture = images[:1].clone().requires_grad_()
model.zero_grad()
model(picture).max().backward()
saliency = picture.grad.abs().amax(1)
