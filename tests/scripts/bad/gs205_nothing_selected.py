import torch

torch.manual_seed(0)
w = torch.randn(4, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.01)
for step in range(20):
    x = torch.randn(12, 4)
    label = torch.randint(0, 2, (12,)).bool()
    if step == 9:
        label[:] = False
    score = x @ w
    hinge = torch.relu(1 - score[label]).mean()  # expect: GS205
    loss = hinge + 0.01 * (w * w).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
