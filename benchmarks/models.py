"""The models that speed and memory are measured on: plain training steps, no data needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[[], Tensor]


def mlp() -> Step:
    """Three small Linear layers: all overhead, no work."""
    net = nn.Sequential(
        nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    x, y = torch.randn(64, 32), torch.randn(64, 1)
    return _training_step(net, lambda: F.mse_loss(net(x), y))


class _Block(nn.Module):
    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wider)
        self.conv2 = nn.Conv2d(wider, wider, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)
        self.short = nn.Conv2d(width, wider, 1, stride) if stride > 1 or wider != width else None

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.short is None else self.short(x)))


def resnet(size: int = 64, batch: int = 4) -> Step:
    """ResNet-18's layout."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    width = 64
    for wider, stride in (
        (64, 1),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
    ):
        layers.append(_Block(width, wider, stride))
        width = wider
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    x, y = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))
    return _training_step(net, lambda: F.cross_entropy(net(x), y))


def lstm(steps: int = 200) -> Step:
    """An LSTM cell unrolled by hand."""
    cell, head = nn.LSTMCell(16, 64), nn.Linear(64, 1)
    xs, y = torch.randn(steps, 8, 16), torch.randn(8, 1)

    def loss() -> Tensor:
        h, c = torch.zeros(8, 64), torch.zeros(8, 64)
        for x in xs:
            h, c = cell(x, (h, c))
        return F.mse_loss(head(h), y)

    return _training_step(nn.ModuleList([cell, head]), loss)


def gpt2(
    layers: int = 2, width: int = 128, tokens: int = 64, batch: int = 4, **config: Any
) -> Step:
    """GPT-2 from a configuration, random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = GPT2Config(n_layer=layers, n_embd=width, n_head=max(1, width // 64), **config)
    model = GPT2LMHeadModel(settings)
    ids = torch.randint(settings.vocab_size, (batch, tokens))
    return _training_step(model, lambda: model(ids, labels=ids).loss)


def chain(ops: int) -> Step:
    """``ops`` multiplications one after the other."""
    x = torch.ones(4, requires_grad=True)

    def step() -> Tensor:
        y = x
        for _ in range(ops):
            y = y * 1.0
        loss = y.sum()
        loss.backward()
        return loss

    return step


def deep_linear(layers: int = 1000) -> Step:
    """Very many Linear layers."""
    net = nn.Sequential(*[nn.Linear(16, 16) for _ in range(layers)])
    x = torch.randn(4, 16)
    return _training_step(net, lambda: net(x).square().mean())


def _training_step(net: nn.Module, loss: Callable[[], Tensor]) -> Step:
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value

    return step
