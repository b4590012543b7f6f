import math

import torch

torch.manual_seed(0)
d = 24
def make(*shape):
    return (torch.randn(*shape) / math.sqrt(shape[0])).requires_grad_()

blocks = [{k: make(d, d) for k in ("q", "k", "v", "o")} | {"up": make(d, 2 * d), "down": make(2 * d, d)} for _ in range(5)]
emb = make(50, d)
params = [emb] + [w for blk in blocks for w in blk.values()]

def rms_norm(h):
    return h / torch.sqrt((h * h).mean(-1, keepdim=True) + 1e-6)

tokens = torch.randint(0, 50, (6, 12))
causal = torch.ones(12, 12).tril().bool()
opt = torch.optim.Adam(params, lr=3e-3)
for it in range(10):
    h = emb[tokens]
    for blk in blocks:
        n = rms_norm(h)
        scores = (n @ blk["q"]) @ (n @ blk["k"]).transpose(1, 2) / math.sqrt(d)
        scores = scores.masked_fill(~causal, -torch.inf)
        h = h + torch.softmax(scores, -1) @ (n @ blk["v"]) @ blk["o"]
        h = h + torch.relu(rms_norm(h) @ blk["up"]) @ blk["down"]
    logp = torch.log_softmax(rms_norm(h) @ emb.T, -1)
    loss = -logp[:, :-1].gather(2, tokens[:, 1:, None]).mean()
    for p in params:
        p.grad = None
    loss.backward()
    opt.step()
