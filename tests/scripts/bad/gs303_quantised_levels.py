import torch

torch.manual_seed(0)
levels = 8
scale = torch.tensor([0.7], requires_grad=True)
offset = torch.tensor([0.1], requires_grad=True)
signal = torch.rand(200)
for epoch in range(8):
    code = torch.floor((signal * scale + offset) * levels)  # expect: GS303
    back = code / levels
    loss = (back - signal).pow(2).mean()
    loss.backward()
    for p in (scale, offset):
        p.data.add_(p.grad, alpha=-0.5)
        p.grad = None
