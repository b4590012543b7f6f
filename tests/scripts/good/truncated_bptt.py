import torch
import torch.nn as nn

torch.manual_seed(0)
lstm, proj = nn.LSTM(4, 16), nn.Linear(16, 4)
params = [*lstm.parameters(), *proj.parameters()]
opt = torch.optim.SGD(params, lr=0.1)
stream = torch.randn(120, 3, 4)
hidden = None
total = 0.0
for chunk in stream.split(12):
    out, hidden = lstm(chunk, hidden)
    hidden = tuple(h.detach() for h in hidden)
    loss = nn.functional.mse_loss(proj(out[:-1]), chunk[1:])
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()
    total += loss.item()
print(total)
