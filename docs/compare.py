"""Draws the same models with gradscope, torchviz, torchview and torchlens, and measures it.

``python docs/compare.py [CASE ...]`` prints the table of ``comparison.md`` and writes
``images/compare-CASE.png``. Needs ``pip install torchviz torchview torchlens pillow transformers``
beside gradscope. All DOT is laid out by the same Graphviz, gradscope's own; none by a ``dot`` of
the system.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import nn

import gradscope
from gradscope.errors import ImageError
from gradscope.render.image import render_image

IMAGES = Path(__file__).resolve().parent / "images"
HEIGHT, WIDEST, GAP = 760, 620, 24  # pixels
LIMIT_S = 120.0
Image.MAX_IMAGE_PIXELS = None
DOT = """#!{python}
import os, sys
if "-V" in sys.argv:
    sys.exit(print("dot - graphviz version 12.2.1 (20241206.2353)", file=sys.stderr))
given = [a for a in sys.argv[1:] if os.path.isfile(a) and not a.endswith(".svg")]
text = open(given[0]).read() if given else sys.stdin.read()
open({kept!r}, "w").write(text)
out = next((a[2:] or sys.argv[i + 2] for i, a in enumerate(sys.argv[1:]) if a[:2] == "-o"), None)
out = out or (given[0] + ".svg" if "-O" in sys.argv else None)
(open(out, "w") if out else sys.stdout).write("<svg xmlns='http://www.w3.org/2000/svg'/>")
"""
Loss = Callable[[], torch.Tensor]
Case = tuple[nn.Module, Any, Callable[[Any], torch.Tensor]]  # model, input, output to loss


class DeepSigmoid(nn.Module):
    """Twelve layers in which the gradient vanishes; ``samples/vanishing.py``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(12))
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One number for each row."""
        for layer in self.layers:
            x = torch.sigmoid(layer(x))
        return self.head(x)


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wider)
        self.conv2 = nn.Conv2d(wider, wider, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)
        self.short = nn.Conv2d(width, wider, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions beside a shortcut."""
        h = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(h + self.short(x))


def mlp() -> Case:
    """The vanishing MLP."""
    x = torch.randn(64, 32)
    return DeepSigmoid(), x, lambda out: (out - x.sum(1, keepdim=True)).square().mean()


def cnn() -> Case:
    """ResNet-18's layout, narrow."""
    sizes = [(16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1)]
    sizes += [(32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
    stem = [nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)]
    net = nn.Sequential(*stem, *(Block(*size) for size in sizes), *head)
    y = torch.randint(10, (4,))
    return net, torch.randn(4, 3, 64, 64), lambda out: nn.functional.cross_entropy(out, y)


def gpt2() -> Case:
    """GPT-2's twelve layers, narrow."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=12, n_embd=96, vocab_size=1000, use_cache=False)
    ids = torch.randint(1000, (2, 32))
    flat = ids[:, 1:].reshape(-1)

    def loss(out: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), flat)

    return GPT2LMHeadModel(config), ids, loss


CASES = {"mlp": mlp, "cnn": cnn, "gpt2": gpt2}


def by_gradscope(model: nn.Module, x: Any, loss: Callable[[Any], torch.Tensor]) -> str:
    """Traces three steps, since a verdict needs three, and draws the last."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with gradscope.trace() as session:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(x)).backward()
            optimizer.step()
    return session.report("dot")


def by_torchviz(model: nn.Module, x: Any, loss: Callable[[Any], torch.Tensor]) -> str:
    """The graph behind the loss."""
    from torchviz import make_dot

    return str(make_dot(loss(model(x)), params=dict(model.named_parameters())).source)


def by_torchview(model: nn.Module, x: Any, loss: Callable[[Any], torch.Tensor]) -> str:
    """The forward pass; it knows no loss."""
    from torchview import draw_graph

    return str(draw_graph(model, input_data=x, device="cpu").visual_graph.source)


def by_torchlens(model: nn.Module, x: Any, loss: Callable[[Any], torch.Tensor]) -> str:
    """Its drawing of the backward pass."""
    import torchlens

    outputs: list[Any] = []
    hook = model.register_forward_hook(lambda _module, _args, out: outputs.append(out))
    traced = torchlens.trace(model, x)
    traced.log_backward(loss(outputs[-1]))
    hook.remove()
    with tempfile.TemporaryDirectory() as folder, stand_in_for_dot(Path(folder)) as kept:
        target = str(Path(folder) / "backward")
        traced.draw_backward(vis_outpath=target, vis_save_only=True, vis_fileformat="svg")
        return kept.read_text("utf-8")


@contextmanager
def stand_in_for_dot(folder: Path) -> Iterator[Path]:
    """A program called ``dot`` that keeps the DOT it is given; torchlens insists on one."""
    kept, program = folder / "kept.dot", folder / "dot"
    program.write_text(DOT.format(python=sys.executable, kept=str(kept)))
    program.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    try:
        yield kept
    finally:
        os.environ["PATH"] = before


TOOLS = {
    "gradscope": by_gradscope,
    "torchviz": by_torchviz,
    "torchview": by_torchview,
    "torchlens": by_torchlens,
}


def measured(case: str, tool: str) -> Image.Image | None:
    """Prints the row of one tool and one case; gives its picture, small."""
    torch.manual_seed(0)
    model, x, loss = CASES[case]()
    try:
        started = time.process_time()
        dot = TOOLS[tool](model, x, loss)
        captured = time.process_time() - started
        began = time.perf_counter()
        svg = render_image(dot, "svg", timeout_s=LIMIT_S)
        laid_out = time.perf_counter() - began
    except (Exception, ImageError) as error:
        print(
            f"| {case} | {tool} | {type(error).__name__}: {str(error)[:90]} | | | | |", flush=True
        )
        return None
    boxes = svg.count(b'class="node"')
    width, height = re.findall(rb'<svg width="(\d+)pt" height="(\d+)pt"', svg)[0]
    size = f"{int(width):,} × {int(height):,}"
    told = f"{captured:.2f} | {boxes:,} | {laid_out:.2f} | {len(svg) // 1024} | {size}"
    print(f"| {case} | {tool} | {told} |", flush=True)
    return small(dot, int(width), int(height))


def small(dot: str, width: int, height: int) -> Image.Image:
    """The whole picture, shrunk until it fits its column."""
    # As large as needed and no larger: Graphviz cannot draw 20,000 points at full size.
    scale = min(1.6, 2 * HEIGHT / height, 2 * WIDEST / width)
    dot = dot.replace("{", f'{{\n graph [dpi={max(2.0, 72 * scale):.1f}, size=""];\n', 1)
    image = Image.open(io.BytesIO(render_image(dot, "png", timeout_s=LIMIT_S))).convert("RGB")
    image.thumbnail((WIDEST, HEIGHT), Image.Resampling.LANCZOS)
    return image


def side_by_side(case: str) -> None:
    """One picture with all tools in a row."""
    found = {tool: measured(case, tool) for tool in TOOLS}
    columns = {tool: image for tool, image in found.items() if image is not None}
    width = sum(max(150, image.width) + GAP for image in columns.values())
    sheet = Image.new("RGB", (width, HEIGHT + 36), "white")
    draw = ImageDraw.Draw(sheet)
    left = 0
    for tool, image in columns.items():
        draw.text((left + 4, 6), tool, fill="black", font_size=20)
        sheet.paste(image, (left, 36))
        left += max(150, image.width) + GAP
    sheet.quantize(160).save(IMAGES / f"compare-{case}.png", optimize=True)


def main() -> None:
    """Every case, or those named."""
    print("| case | tool | CPU s | boxes | layout s | SVG KB | points |")
    print("|---|---|---|---|---|---|---|")
    for tool in TOOLS.values():  # what a first call imports is not measured
        with suppress(Exception):
            x = torch.randn(2, 3)
            tool(nn.Linear(3, 1), x, lambda out: out.mean())
    for case in sys.argv[1:] or CASES:
        side_by_side(case)


if __name__ == "__main__":
    main()
