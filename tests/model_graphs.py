"""Graphs as large models leave them: a decoder, an unrolled recurrent cell, a residual CNN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradscope.model.graph import Graph, Source
from tests.graph_builder import Gradient, GraphBuilder, line


def linear(
    b: GraphBuilder, name: str, x: int, fan_in: int, fan_out: int, rms: Gradient, source: Source
) -> int:
    """The nodes of ``nn.Linear``; ``x < 0`` is an input that needs no gradient."""
    bias = b.leaf(f"{name}.bias", (fan_out,), gradient=rms)
    weight = b.leaf(f"{name}.weight", (fan_out, fan_in), gradient=rms)
    t = b.op("T", weight, shape=(fan_in, fan_out), gradient=rms, source=source, call="linear")
    inputs = (bias, t) if x < 0 else (bias, x, t)
    return b.op("Addmm", *inputs, shape=(64, fan_out), gradient=rms, source=source, call="linear")


def gpt2_like_graph(
    layers: int = 12, *, gradient: Callable[[int], float] = lambda layer: 3e-2
) -> Graph:
    """A decoder as transformers builds it; ``gradient`` is the RMS inside each block."""
    call = "model(ids, labels=ids)"
    b = GraphBuilder(line(31, f"loss = {call}.loss", call))
    with b.module("model", "GPT2LMHeadModel"):
        with b.module("transformer", "GPT2Model"):
            x = _embed(b)
            for i in range(layers):
                with b.module(f"h.{i}", "GPT2Block"):
                    x = _block(b, x, f"model.transformer.h.{i}", gradient(i))
            with b.module("ln_f", "LayerNorm"):
                x = _norm(b, x, "model.transformer.ln_f", gradient(layers - 1))
        with b.module("lm_head", "Linear"):
            # Handle 0 is wte: the two weights are tied.
            t = b.op("T", 0, shape=(768, 50257), gradient=1e-4)
            x = b.op("Mm", x, t, shape=(64, 50257), gradient=1e-5)
            x = b.op("UnsafeView", x, shape=(1, 64, 50257), gradient=1e-5)
    x = b.op("View", x, shape=(64, 50257), gradient=1e-5)
    x = b.op("LogSoftmax", x, shape=(64, 50257), gradient=1e-5, call="cross_entropy")
    b.op("NllLoss", x, shape=(), gradient=1.0, value=10.8, label="loss", call="cross_entropy")
    return b.graph()


def _embed(b: GraphBuilder) -> int:
    found = []
    for name, rows in (("wte", 50257), ("wpe", 1024)):
        leaf = b.leaf(f"model.transformer.{name}.weight", (rows, 768), gradient=2e-3)
        with b.module(name, "Embedding"):
            found.append(b.op("Embedding", leaf, shape=(1, 64, 768), gradient=3e-2))
    return b.op("Add", *found, shape=(1, 64, 768), gradient=3e-2)


def _norm(b: GraphBuilder, x: int, name: str, rms: float) -> int:
    weight = b.leaf(f"{name}.weight", (768,), gradient=rms)
    bias = b.leaf(f"{name}.bias", (768,), gradient=rms)
    return b.op("NativeLayerNorm", x, weight, bias, shape=(1, 64, 768), gradient=rms)


def _conv1d(b: GraphBuilder, x: int, name: str, width: tuple[int, int], rms: float) -> int:
    with b.module(name.rsplit(".", 1)[1], "Conv1D"):
        bias = b.leaf(f"{name}.bias", width[1:], gradient=rms)
        weight = b.leaf(f"{name}.weight", width, gradient=rms)
        flat = b.op("View", x, shape=(64, width[0]), gradient=rms)
        out = b.op("Addmm", bias, flat, weight, shape=(64, width[1]), gradient=rms)
        return b.op("View", out, shape=(1, 64, width[1]), gradient=rms)


def _block(b: GraphBuilder, x: int, name: str, rms: float) -> int:
    """One block: attention and MLP, each behind a norm and around a residual."""
    shape = (1, 64, 768)
    with b.module("ln_1", "LayerNorm"):
        h = _norm(b, x, f"{name}.ln_1", rms)
    with b.module("attn", "GPT2Attention"):
        qkv = _conv1d(b, h, f"{name}.attn.c_attn", (768, 2304), rms)
        split = b.op("Split", qkv, shape=shape, gradient=[rms, rms, rms])
        heads = []
        for output_nr in range(3):
            view = b.op("View", (split, output_nr), shape=(1, 64, 12, 64), gradient=rms)
            heads.append(b.op("Transpose", view, shape=(1, 12, 64, 64), gradient=rms))
        mixed = b.op("ScaledDotProductFlashAttention", *heads, shape=shape, gradient=rms)
        flat = b.op("View", b.op("Transpose", mixed, gradient=rms), shape=shape, gradient=rms)
        h = _conv1d(b, flat, f"{name}.attn.c_proj", (768, 768), rms)
    x = b.op("Add", h, x, shape=shape, gradient=rms)
    with b.module("ln_2", "LayerNorm"):
        h = _norm(b, x, f"{name}.ln_2", rms)
    with b.module("mlp", "GPT2MLP"):
        h = _conv1d(b, h, f"{name}.mlp.c_fc", (768, 3072), rms)
        with b.module("act", "NewGELUActivation"):
            cube = b.op("Mul", b.op("Pow", h, gradient=rms), gradient=rms)
            inner = b.op("Mul", b.op("Add", h, cube, gradient=rms), gradient=rms)
            gate = b.op("Add", b.op("Tanh", inner, gradient=rms), gradient=rms)
            h = b.op("Mul", b.op("Mul", h, gradient=rms), gate, gradient=rms)
        h = _conv1d(b, h, f"{name}.mlp.c_proj", (3072, 768), rms)
    return b.op("Add", x, h, shape=shape, gradient=rms)


def unrolled_rnn_graph(
    steps: int, *, factor: float = 0.97, module: bool = True, cell: str = "LSTM"
) -> Graph:
    """One recurrent cell called ``steps`` times in a loop; the gradient shrinks going back.

    ``module=False`` writes the cell out in the loop instead of calling a module.
    """
    b = GraphBuilder()
    shapes = {"weight_ih": (128, 16), "weight_hh": (128, 32)}
    leaves = [b.leaf(f"cell.{n}", s, gradient=1e-3) for n, s in shapes.items()]
    h = c = -1
    for step in range(1, steps + 1):
        rms = 1e-2 * factor ** (steps - step)
        if module:
            with b.module("cell", f"{cell}Cell"):
                h, c = _lstm_step(b, leaves, h, c, step, rms)
        else:
            h, c = _lstm_step(b, leaves, h, c, step, rms)
    source = line(20, "loss = (h ** 2).mean()", "(h ** 2).mean()")
    square = b.op("Pow", h, shape=(8, 32), gradient=4e-3, source=source)
    b.op("Mean", square, shape=(), gradient=1.0, value=0.3, source=source, label="loss")
    return b.graph()


def _lstm_step(
    b: GraphBuilder, leaves: Sequence[int], h: int, c: int, step: int, rms: float
) -> tuple[int, int]:
    source = line(15, "h, c = cell(x[t], (h, c))", "cell(x[t], (h, c))")

    def op(name: str, *inputs: int, gradient: Gradient = rms, label: str = "") -> int:
        used = [i for i in inputs if i >= 0]
        return b.op(
            name,
            *used,
            shape=(8, 32),
            gradient=gradient,
            source=source,
            iteration=step,
            call="lstm_cell",
            label=label,
        )

    gates = op("Add", op("Mm", op("T", leaves[0])), op("Mm", h, op("T", leaves[1])))
    split = op("UnsafeSplit", gates)
    i, f, o = (op("Sigmoid", split) for _ in range(3))
    c = op("Add", op("Mul", f, c), op("Mul", i, op("Tanh", split)), label="c")
    return op("Mul", o, op("Tanh", c), label="h"), c


def resnet_like_graph(stages: Sequence[int] = (2, 2, 2, 2)) -> Graph:
    """Convolutions, batch norms and residual blocks in stages, as in ResNet-18."""
    b = GraphBuilder()
    width = 64
    with b.module("net", "ResNet"):
        x = _conv_bn(b, -1, "net", 1, width, 3)
        x = b.op("MaxPool2DWithIndices", b.op("Relu", x, gradient=1e-4), gradient=1e-4)
        for stage, blocks in enumerate(stages, start=1):
            new = 64 * 2 ** (stage - 1)
            with b.module(f"layer{stage}", "Sequential"):
                for block in range(blocks):
                    with b.module(str(block), "BasicBlock"):
                        x = _basic_block(b, x, f"net.layer{stage}.{block}", width, new)
                        width = new
        x = b.op("View", b.op("Mean", x, gradient=2e-4), shape=(8, width), gradient=2e-4)
        with b.module("fc", "Linear"):
            source = line(60, "return self.fc(x)", "self.fc(x)", "ResNet.forward")
            x = linear(b, "net.fc", x, width, 10, 1e-2, source)
    source = line(80, "loss = criterion(net(images), labels)", "criterion(net(images), labels)")
    with b.module("criterion", "CrossEntropyLoss"):
        x = b.op("LogSoftmax", x, shape=(8, 10), gradient=1e-2, source=source)
        b.op("NllLoss", x, shape=(), gradient=1.0, value=2.3, source=source, label="loss")
    return b.graph()


def _conv_bn(b: GraphBuilder, x: int, name: str, nr: int, width: int, fan_in: int) -> int:
    rms = 1e-4 * math.sqrt(nr + 1)
    shape = (8, width, 16, 16)
    with b.module(f"conv{nr}", "Conv2d"):
        weight = b.leaf(f"{name}.conv{nr}.weight", (width, fan_in, 3, 3), gradient=rms * 30)
        inputs = (weight,) if x < 0 else (x, weight)
        x = b.op("Convolution", *inputs, shape=shape, gradient=rms, call="conv2d")
    with b.module(f"bn{nr}", "BatchNorm2d"):
        weight = b.leaf(f"{name}.bn{nr}.weight", (width,), gradient=rms)
        bias = b.leaf(f"{name}.bn{nr}.bias", (width,), gradient=rms)
        return b.op("NativeBatchNorm", x, weight, bias, shape=shape, gradient=rms)


def _basic_block(b: GraphBuilder, x: int, name: str, old: int, new: int) -> int:
    shape = (8, new, 16, 16)
    h = b.op("Relu", _conv_bn(b, x, name, 1, new, old), shape=shape, gradient=1e-4)
    h = _conv_bn(b, h, name, 2, new, new)
    if old != new:
        with b.module("downsample", "Sequential"):
            x = _conv_bn(b, x, f"{name}.downsample", 0, new, old)
    total = b.op("Add", h, x, shape=shape, gradient=1e-4)
    return b.op("Relu", total, shape=shape, gradient=1e-4)
