import torch
import torch.nn as nn

torch.manual_seed(0)


def masked_mse(prediction, target, mask):
    error = (prediction - target) ** 2 * mask
    return error.sum() / mask.sum()  # expect: GS205


gru = nn.GRU(3, 8, batch_first=True)
head = nn.Linear(8, 1)
opt = torch.optim.Adam(list(gru.parameters()) + list(head.parameters()), lr=1e-3)
for i in range(10):
    x = torch.randn(5, 6, 3)
    mask = (torch.rand(5, 6) > 0.3).float()
    if i == 4:
        mask.zero_()
    y = head(gru(x)[0]).squeeze(-1)
    loss = masked_mse(y, x.sum(-1), mask)
    opt.zero_grad()
    loss.backward()
    opt.step()
