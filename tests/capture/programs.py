"""Small training programs as users write them; each returns everything it computed.

Run twice with the same seed they give the same bits, with a trace around them or without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Results = list[Tensor]
Program = Callable[[], Results]
PROGRAMS: dict[str, Program] = {}
STEPS = 3


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def outcome(losses: list[Tensor], parameters: Iterable[Tensor]) -> Results:
    """Losses, then parameters and their gradients, cloned."""
    found = [loss.detach().clone() for loss in losses]
    for p in parameters:
        found.append(p.detach().clone())
        if p.grad is not None:
            found.append(p.grad.detach().to_dense().clone())
    return found


def train(
    net: nn.Module,
    loss_of: Callable[[], Tensor],
    optimizer: torch.optim.Optimizer | None = None,
) -> Results:
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return outcome(losses, net.parameters())


@program
def mlp_with_dropout() -> Results:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    return train(net, lambda: F.cross_entropy(net(torch.randn(4, 6)), torch.tensor([0, 1, 2, 1])))


@program
def cnn_with_batch_norm() -> Results:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    found = train(
        net, lambda: F.cross_entropy(net(torch.randn(3, 1, 8, 8)), torch.tensor([0, 1, 1]))
    )
    return found + [b.clone() for b in net.buffers()]


@program
def residual_cnn() -> Results:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 3, 3, padding=1, bias=False)
            self.norm = nn.GroupNorm(1, 3)
            self.conv2 = nn.ConvTranspose2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            out = F.silu(self.norm(self.conv1(x)))
            out = self.conv2(out)
            out += x
            return F.relu(out, inplace=True)

    net = nn.Sequential(Block(), Block())
    return train(net, lambda: net(torch.randn(2, 3, 6, 6)).pow(2).mean())


@program
def lstm_cell_unrolled() -> Results:
    cell = nn.LSTMCell(3, 4)

    def loss_of() -> Tensor:
        h = c = torch.zeros(2, 4)
        for x in torch.randn(6, 2, 3):
            h, c = cell(x, (h, c))
        return h.sum() + c.mean()

    return train(cell, loss_of)


@program
def lstm_module() -> Results:
    net = nn.LSTM(3, 4, num_layers=2, dropout=0.3, bidirectional=True)
    return train(net, lambda: net(torch.randn(5, 2, 3))[0].pow(2).sum())


@program
def gru_by_hand() -> Results:
    wz, wr, wh = (nn.Parameter(torch.randn(4, 4) / 2) for _ in range(3))
    net = nn.ParameterList([wz, wr, wh])

    def loss_of() -> Tensor:
        h = torch.randn(2, 4)
        for _ in range(4):
            z, r = torch.sigmoid(h @ wz), torch.sigmoid(h @ wr)
            h = (1 - z) * h + z * torch.tanh((r * h) @ wh)
        return h.sum()

    return train(net, loss_of)


@program
def gpt2() -> Results:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    net: Any = GPT2LMHeadModel(config)
    tokens = torch.randint(0, 50, (2, 8))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    return train(net, lambda: net(tokens, labels=tokens).loss, optimizer)


@program
def attention() -> Results:
    net = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1)

    def loss_of() -> Tensor:
        q = torch.randn(2, 3, 8)
        out, weights = net(q, q, q)
        return out.pow(2).mean() + weights.sum()  # type: ignore[no-any-return]

    return train(net, loss_of)


@program
def transformer_layer() -> Results:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    return train(net, lambda: net(torch.randn(2, 3, 8)).pow(2).mean())


@program
def autocast_with_scaler() -> Results:
    net = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = net(torch.randn(4, 5)).float().pow(2).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss)
    return outcome(losses, net.parameters())


class _Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 1)

    def block(self, x: Tensor) -> Tensor:
        h = F.dropout(torch.tanh(self.first(x)), 0.5)
        return h * 2

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = checkpoint(self.block, x, use_reentrant=self.reentrant)
        out: Tensor = self.second(h)
        return out


@program
def checkpoint_plain() -> Results:
    net = _Checkpointed(reentrant=False)
    return train(net, lambda: net(torch.randn(3, 4)).sum())


@program
def checkpoint_reentrant() -> Results:
    net = _Checkpointed(reentrant=True)
    return train(net, lambda: net(torch.randn(3, 4, requires_grad=True)).sum())


@program
def lbfgs() -> Results:
    net = nn.Linear(3, 1)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
    losses: list[Tensor] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        losses.append(loss)
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    return outcome(losses, net.parameters())


@program
def adam_foreach() -> Results:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, foreach=True)
    return train(net, lambda: net(torch.randn(3, 4)).pow(2).mean(), optimizer)


@program
def adam_fused() -> Results:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, fused=True, weight_decay=0.1)
    return train(net, lambda: net(torch.randn(3, 4)).pow(2).mean(), optimizer)


@program
def by_hand() -> Results:
    w, b = torch.randn(3, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(STEPS):
        loss = (torch.randn(5, 3) @ w + b).pow(2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= 0.1 * p.grad  # type: ignore[operator]
                p.grad = None
        losses.append(loss)
    return outcome(losses, [w, b])


@program
def sparse_embedding() -> Results:
    net = nn.Embedding(10, 3, sparse=True)
    return train(net, lambda: net(torch.tensor([1, 1, 7])).pow(2).sum())


@program
def tied_weights() -> Results:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 3)
            self.head = nn.Linear(3, 7, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens: Tensor) -> Tensor:
            out: Tensor = self.head(self.embedding(tokens))
            return out

    net = Tied()
    tokens = torch.tensor([1, 2, 2])
    return train(net, lambda: F.cross_entropy(net(tokens), tokens))


@program
def parametrized() -> Results:
    net: Any = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    net = nn.Sequential(net, nn.utils.parametrizations.orthogonal(nn.Linear(2, 2)))
    return train(net, lambda: net(torch.randn(4, 3)).pow(2).mean())


@program
def complex_numbers() -> Results:
    w = nn.Parameter(torch.randn(4, dtype=torch.complex64))
    net = nn.ParameterList([w])
    return train(net, lambda: (torch.fft.fft(w) * w.conj()).abs().sum())


@program
def nothing_in_it() -> Results:
    net = nn.Linear(3, 2)
    return train(net, lambda: net(torch.zeros(0, 3)).sum() + net.weight.sum())


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        ctx.low = low
        return x.clamp(min=low), (x < low).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _unused: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * (x >= ctx.low), None


_clamp_bound_early: Any = _Clamp.apply


@program
def custom_functions() -> Results:
    net = nn.Linear(4, 4)

    def loss_of() -> Tensor:
        clamped, mask = _Clamp.apply(net(torch.randn(3, 4)), 0.1)  # type: ignore[no-untyped-call]
        again, _ = _clamp_bound_early(clamped * 2, 0.3)
        total: Tensor = again.sum() + mask.sum()
        return total

    return train(net, loss_of)


@program
def views_changed_in_place() -> Results:
    w = nn.Parameter(torch.randn(4, 4))
    net = nn.ParameterList([w])

    def loss_of() -> Tensor:
        h = w * 2
        h[0] = h[1] * 3
        h[:, 1].mul_(0.5)
        h.T[2].add_(1)
        h += w
        first, second = h.chunk(2)
        return (first * second).exp().clamp(max=5).sum()

    return train(net, loss_of)


@program
def indexing_and_linear_algebra() -> Results:
    w = nn.Parameter(torch.randn(5, 5))
    net = nn.ParameterList([w])

    def loss_of() -> Tensor:
        best, where = w.topk(2, dim=1)
        rows = torch.einsum("ij,kj->ik", w, w) + torch.eye(5) * 9
        solved = torch.linalg.solve(rows, w.gather(1, where))
        masked = torch.where(w > 0, w, torch.zeros(())).cumsum(0)
        return best.sum() + solved.norm() + masked[[0, 2]].logsumexp(1).sum() + w.sort()[0][0, 0]  # type: ignore[no-any-return]

    return train(net, loss_of)


@program
def penalty_on_the_gradient() -> Results:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def loss_of() -> Tensor:
        x = torch.randn(5, 3, requires_grad=True)
        out = net(x)
        (slopes,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        return out.mean() + ((slopes.norm(2, dim=1) - 1) ** 2).mean()  # type: ignore[no-any-return]

    return train(net, loss_of)


@program
def two_players() -> Results:
    maker, judge = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizers = [torch.optim.RMSprop(net.parameters(), lr=0.01) for net in (judge, maker)]
    losses = []
    for _ in range(STEPS):
        optimizers[0].zero_grad()
        fake = maker(torch.randn(4, 2))
        loss_judge = judge(fake.detach()).mean() - judge(torch.randn(4, 2)).mean()
        loss_judge.backward()
        optimizers[0].step()
        for p in judge.parameters():
            p.data.clamp_(-0.1, 0.1)
        optimizers[1].zero_grad()
        loss_maker = -judge(fake).mean()
        loss_maker.backward()
        optimizers[1].step()
        losses += [loss_judge, loss_maker]
    return outcome(losses, [*maker.parameters(), *judge.parameters()])


@program
def functional_transforms() -> Results:
    weights, x = torch.randn(3), torch.randn(5, 3)

    def loss_of(w: Tensor, row: Tensor) -> Tensor:
        return torch.sin(w * row).sum()

    per_sample = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0))(weights, x)
    value, pull = torch.func.vjp(lambda w: w**2, weights)  # type: ignore[misc]
    jacobian = torch.func.jacrev(lambda w: w.exp())(weights)
    hessian = torch.func.hessian(lambda w: (w**3).sum())(weights)
    tangent = torch.func.jvp(torch.tanh, (weights,), (torch.ones(3),))
    return [per_sample, value, pull(torch.ones(3))[0], jacobian, hessian, *tangent]


@program
def threads() -> Results:
    nets = [nn.Linear(3, 3) for _ in range(3)]
    inputs = [torch.randn(2, 3) for _ in nets]
    losses: dict[int, Tensor] = {}

    def work(i: int) -> None:
        loss = torch.tanh(nets[i](inputs[i])).sum()
        loss.backward()
        losses[i] = loss

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcome([losses[i] for i in range(3)], [p for net in nets for p in net.parameters()])


@program
def hooks_everywhere() -> Results:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    seen: list[Tensor] = []
    net[0].register_forward_hook(lambda m, a, out: out * 2)
    net[1].register_full_backward_hook(lambda m, gi, go: seen.append(go[0].clone()))  # type: ignore[index]
    net[0].weight.register_hook(lambda g: g * 0.5)  # type: ignore[operator]
    found = train(net, lambda: net(torch.randn(2, 3)).sum())
    return found + seen


@program
def mixed_precision_by_hand() -> Results:
    net = nn.Linear(4, 4).double()
    half = nn.Linear(4, 2).to(torch.bfloat16)

    def loss_of() -> Tensor:
        h = net(torch.randn(3, 4, dtype=torch.float64)).to(torch.bfloat16)
        return half(h).float().pow(2).mean()  # type: ignore[no-any-return]

    both = nn.ModuleList([net, half])
    return train(both, loss_of)
