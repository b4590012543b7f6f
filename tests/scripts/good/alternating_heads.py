import torch
import torch.nn as nn

torch.manual_seed(0)
trunk = nn.Sequential(nn.Linear(6, 20), nn.ReLU())
heads = nn.ModuleDict({"digit": nn.Linear(20, 4), "colour": nn.Linear(20, 3)})
common = torch.optim.Adam(trunk.parameters(), lr=1e-3)
own = {k: torch.optim.Adam(h.parameters(), lr=1e-2) for k, h in heads.items()}
for i in range(24):
    task = "digit" if i % 2 else "colour"
    x = torch.randn(16, 6)
    y = torch.randint(0, 4 if task == "digit" else 3, (16,))
    loss = nn.functional.cross_entropy(heads[task](trunk(x)), y)
    for o in (common, *own.values()):
        o.zero_grad()
    loss.backward()
    for o in (common, *own.values()):
        o.step()  # the other head's has nothing to do
