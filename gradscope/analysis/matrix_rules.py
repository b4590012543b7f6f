"""What an op's backward makes of the gradient of its result, as a formula on whole tensors.

``G`` is the gradient that the op received, ``y`` its result. Inputs have the letters of PyTorch's
own formulas: ``x`` alone, ``a`` and ``b`` in pairs, ``X`` and ``W`` for layers. Sources:
``tools/autograd/derivatives.yaml`` in PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradscope.analysis.paths import op_base
from gradscope.analysis.symbols import named, number
from gradscope.model.graph import Graph

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MatrixRule:
    """One backward formula.

    Attributes:
        formula: Such as ``Gᵀ·X``.
        shapes: ``[10, 20] = [10, 64]·[64, 20]`` for products of matrices; else empty.
    """

    formula: str
    shapes: str = ""


_EACH = {
    "Add": ("G", "α·G"),
    "Sub": ("G", "−G"),
    "Rsub": ("−G", "G"),
    "Mul": ("G ⊙ b", "G ⊙ a"),
    "Div": ("G / b", "−G ⊙ a/b²"),
    "Neg": ("−G",),
    "Reciprocal": ("−G ⊙ y²",),
    "Exp": ("G ⊙ y",),
    "Log": ("G / x",),
    "Log1P": ("G / (1 + x)",),
    "Sqrt": ("G / (2·y)",),
    "Rsqrt": ("−G ⊙ y³/2",),
    "Sin": ("G ⊙ cos(x)",),
    "Cos": ("−G ⊙ sin(x)",),
    "Tan": ("G ⊙ (1 + y²)",),
    "Tanh": ("G ⊙ (1 − y²)",),
    "Sigmoid": ("G ⊙ y ⊙ (1 − y)",),
    "LogSigmoid": ("G ⊙ sigmoid(−x)",),
    "Softplus": ("G ⊙ sigmoid(x)",),
    "Relu": ("G ⊙ [x > 0]",),
    "Abs": ("G ⊙ sign(x)",),
    "Gelu": ("G ⊙ gelu′(x)",),
    "Silu": ("G ⊙ silu′(x)",),
    "Elu": ("G ⊙ elu′(x)",),
    "LeakyRelu": ("G ⊙ [1 or slope]",),
    "Hardtanh": ("G ⊙ [x inside the limits]",),
    "Clamp": ("G ⊙ [x inside the limits]",),
    "Where": ("G ⊙ [condition]", "G ⊙ [not condition]"),
    "Maximum": ("G ⊙ [a ≥ b]", "G ⊙ [b ≥ a]"),
    "Minimum": ("G ⊙ [a ≤ b]", "G ⊙ [b ≤ a]"),
    "Softmax": ("y ⊙ (G − Σ G⊙y)",),
    "LogSoftmax": ("G − softmax(x)·ΣG",),
    "NllLoss": ("−G/N at the right class",),
    "MseLoss": ("G·2(a − b)/N", "G·2(b − a)/N"),
    "L1Loss": ("G·sign(a − b)/N", "−G·sign(a − b)/N"),
    "BinaryCrossEntropy": ("G·(p − t)/(p(1 − p))/N",),
    "BinaryCrossEntropyWithLogits": ("G·(sigmoid(x) − t)/N",),
    "Sum": ("G to every element",),
    "Expand": ("G, summed over the copies",),
    "Embedding": ("rows of G summed by index",),
    "MaxPool2DWithIndices": ("G at each window's largest",),
    "Max": ("G at the largest",),
    "Amax": ("G at the largest",),
    "Convolution": (
        "G convolved with flipped W",
        "X correlated with G",
        "G, summed over all places",
    ),
    "NativeLayerNorm": (
        "(γ⊙G − mean − x̂ part) / σ",
        "Σ G ⊙ x̂",
        "ΣG",
    ),
    "NativeBatchNorm": (
        "(γ⊙G − mean − x̂ part) / σ",
        "Σ G ⊙ x̂",
        "ΣG",
    ),
    "NativeDropout": ("G ⊙ mask/(1 − p)",),
}
_MOVES = {"T": "Gᵀ", "Transpose": "Gᵀ", "Permute": "G, axes swapped back"}


def matrix_rule(graph: Graph, edge: int, *, transposed: bool = False) -> MatrixRule | None:
    """The formula of the gradient that goes along an edge; None where none is known.

    Args:
        graph: The graph.
        edge: Index of the edge.
        transposed: Whether the input was transposed on its way in, as a layer's weight is: then
            the formula is that of the weight itself.
    """
    structure = graph.structure
    here = structure.edges[edge]
    node = structure.nodes[here.source]
    base = op_base(node.op)
    if base in ("Addmm", "Mm", "Bmm", "Mv", "Dot"):
        return _product(graph, edge, base, transposed)
    if base == "Mean":
        return MatrixRule(_mean(structure.nodes[here.target].shape, node.shape))
    if base == "Pow":
        return MatrixRule(_power(graph, edge))
    if base in _MOVES:
        return MatrixRule(_MOVES[base])
    formulas = _EACH.get(base)
    if formulas is None or here.slot >= len(formulas):
        return None
    return MatrixRule(_alpha(graph, here.source, formulas[here.slot]))


def _alpha(graph: Graph, node: int, formula: str) -> str:
    alpha = graph.constants.get(node, {}).get("alpha", 1.0)
    return formula.replace("α·", "" if alpha == 1 else f"{alpha:g}·")


def _mean(wide: Shape | None, narrow: Shape | None) -> str:
    if wide is None or narrow is None:
        return "G/N to every element"
    count = math.prod(wide) // max(1, math.prod(narrow))
    return f"G/{count} to every element"


def _power(graph: Graph, edge: int) -> str:
    here = graph.structure.edges[edge]
    op = graph.structure.nodes[here.source].op
    exponent = graph.constants.get(here.source, {}).get("exponent")
    if op == "PowBackward0" and exponent is not None:
        power = number(exponent) * named("x", 0.5) ** number(exponent - 1)
        return f"G ⊙ {power.text}"
    if op == "PowBackward0":
        return "G ⊙ n·xⁿ⁻¹"
    if op == "PowBackward1" and here.slot == 0:
        return "G ⊙ b·a^(b − 1)"
    return "G ⊙ y·ln(a)"


def _product(graph: Graph, edge: int, base: str, transposed: bool) -> MatrixRule:
    """``Y = A·B``: ``∂L/∂A = G·Bᵀ`` and ``∂L/∂B = Aᵀ·G``; a layer has ``A = X``, ``B = Wᵀ``."""
    here = graph.structure.edges[edge]
    slot = here.slot - (base == "Addmm")
    if slot < 0:
        return MatrixRule("G, summed over the rows")
    if base == "Dot":
        return MatrixRule("G·b" if slot == 0 else "G·a")
    if base == "Mv":
        return MatrixRule("G·vᵀ" if slot == 0 else "Aᵀ·G")
    received, sent = graph.structure.nodes[here.source].shape, _shape_of(graph, edge)
    layer = base == "Addmm" or _is_transposed(graph, here.source)
    if slot == 1 and transposed:
        return MatrixRule("Gᵀ·X", _shapes(sent, received, of="weight"))
    if slot == 1:
        return MatrixRule(
            "Xᵀ·G" if base == "Addmm" else "Aᵀ·G", _shapes(sent, received, of="right")
        )
    return MatrixRule("G·W" if layer else "G·Bᵀ", _shapes(sent, received, of="left"))


def _is_transposed(graph: Graph, node: int) -> bool:
    structure = graph.structure
    children = (structure.edges[index] for index in structure.outgoing[node])
    return any(e.slot == 1 and structure.nodes[e.target].op == "TBackward0" for e in children)


def _shape_of(graph: Graph, edge: int) -> Shape | None:
    here = graph.structure.edges[edge]
    found = graph.contributions.get(edge) or graph.gradient(here.target, here.output_nr)
    return found.shape if found is not None else graph.structure.nodes[here.target].shape


def _shapes(sent: Shape | None, received: Shape | None, *, of: str) -> str:
    """The shapes of a product of two matrices; empty for others."""
    if sent is None or received is None or len(sent) != 2 or len(received) != 2:
        return ""
    if of == "weight":  # Gᵀ·X: [out, in] = [out, N]·[N, in]; sent is [in, out] before the turn
        inside, out = sent
        if out != received[1]:
            inside, out = out, inside
        return f"[{out}, {inside}] = [{out}, {received[0]}]·[{received[0]}, {inside}]"
    if of == "right":  # Aᵀ·G: [K, M] = [K, N]·[N, M]
        return f"[{sent[0]}, {sent[1]}] = [{sent[0]}, {received[0]}]·[{received[0]}, {received[1]}]"
    # G·Bᵀ: [N, K] = [N, M]·[M, K]
    return f"[{sent[0]}, {sent[1]}] = [{received[0]}, {received[1]}]·[{received[1]}, {sent[1]}]"
