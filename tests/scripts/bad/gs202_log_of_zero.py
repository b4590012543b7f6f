import torch

torch.manual_seed(0)
logits = torch.nn.Parameter(torch.tensor([[120.0, -30.0, 0.0], [0.5, 0.1, -0.4]]))
labels = torch.tensor([1, 0])
optimizer = torch.optim.SGD([logits], lr=0.5)
for step in range(4):
    probs = torch.softmax(logits, dim=1)
    picked = probs[torch.arange(2), labels]
    nll = -torch.log(picked)  # expect: GS202
    loss = nll.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
