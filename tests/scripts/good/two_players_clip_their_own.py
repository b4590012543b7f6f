# each player clips after its own backward; every micro-batch of the second one is clipped, too
import torch
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(0)
maker = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
judge = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
maker_opt = torch.optim.Adam(maker.parameters(), lr=1e-3)
judge_opt = torch.optim.Adam(judge.parameters(), lr=1e-3)
bce = torch.nn.BCEWithLogitsLoss()
one, zero = torch.ones(16, 1), torch.zeros(16, 1)
for _ in range(10):
    fake = maker(torch.randn(16, 2))
    judge_opt.zero_grad()
    (bce(judge(torch.randn(16, 2) + 1), one) + bce(judge(fake.detach()), zero)).backward()
    clip_grad_norm_(judge.parameters(), 1.0)
    judge_opt.step()
    maker_opt.zero_grad()
    for _ in range(3):
        (bce(judge(maker(torch.randn(16, 2))), one) / 3).backward()
        clip_grad_norm_(maker.parameters(), 1.0)
    maker_opt.step()
