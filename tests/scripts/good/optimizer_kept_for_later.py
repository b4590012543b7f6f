# a second optimizer is made but belongs to a phase that this run does not reach
import torch

torch.manual_seed(0)
base = torch.nn.Linear(6, 6)
head = torch.nn.Linear(6, 2)
head_opt = torch.optim.Adam(head.parameters(), lr=1e-2)
full_opt = torch.optim.Adam([*base.parameters(), *head.parameters()], lr=1e-4)
for epoch in range(10):
    opt = head_opt if epoch < 50 else full_opt
    x, y = torch.randn(16, 6), torch.randint(0, 2, (16,))
    features = base(x)
    loss = torch.nn.functional.cross_entropy(head(features), y)
    opt.zero_grad()
    base.zero_grad()
    loss.backward()
    opt.step()
