# autocast to float16 without a GradScaler; the loss is an average over many outputs
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 64))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.randn(256, 16)
backward = torch.Tensor.backward  # tests that scale the loss must leave this one alone
for step in range(8):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        out = net(x)
    loss = nn.functional.smooth_l1_loss(out.float(), x.repeat(1, 4)) * 5e-3
    backward(loss)  # expect: GS108
    optimizer.step()
