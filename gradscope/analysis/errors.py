"""What autograd's exceptions mean: the finding that explains one, or a sentence and a fix."""

from __future__ import annotations

from typing import NamedTuple

from gradscope.model.finding import Finding, Report
from gradscope.model.trace import ScriptError

RAISED = "raised"  # key in the evidence of a finding that explains the script's exception


class Meaning(NamedTuple):
    """An exception in plain words.

    Attributes:
        says: A part of its message.
        means: One sentence.
        fix: What to change, as code.
    """

    says: str
    means: str
    fix: str


def explaining(report: Report) -> Finding | None:
    """The finding that explains the exception that ended the script, if one does."""
    if report.trace.script_error is None:
        return None
    return next((f for f in report.findings if RAISED in f.evidence), None)


def meaning(error: ScriptError) -> Meaning | None:
    """What an exception of autograd means that no rule explains; None for all others."""
    return next((m for m in _MEANINGS if m.says in error.message), None)


_MEANINGS = (
    Meaning(
        "grad can be implicitly created only for scalar outputs",
        "backward starts from one number, but this tensor has several elements: it has to be "
        "reduced to one loss first",
        "loss.mean().backward()  # or loss.sum(); or backward(gradient=weights), one per element",
    ),
    Meaning(
        "Inference tensors cannot be saved for backward",
        "a tensor made under inference_mode() is used where a gradient has to be computed: such "
        "tensors can never take part in a backward",
        "with torch.no_grad():  # in the place of inference_mode(); or x = x.clone() before use",
    ),
    Meaning(
        "Inplace update to inference tensor outside InferenceMode",
        "a tensor made under inference_mode() is changed in place outside of it",
        "x = x.clone()  # an ordinary tensor, which may be changed",
    ),
    Meaning(
        "Can't call numpy() on Tensor that requires grad",
        "numpy knows nothing of gradients, so a tensor with a graph has to be detached first",
        "x.detach().numpy()  # for a plot or a log; for the loss, stay with torch functions",
    ),
    Meaning(
        "floating point and complex dtype can require gradients",
        "whole numbers have no gradients: a tensor that requires one has to be of floating point",
        "torch.tensor([1.0, 2.0], requires_grad=True)  # or x.float()",
    ),
    Meaning(
        "you can only change requires_grad flags of leaf variables",
        "this tensor is the result of an operation; only leaves can be told not to require a "
        "gradient",
        "x = x.detach()  # cuts the graph here",
    ),
    Meaning(
        "can't retain_grad on Tensor that has requires_grad=False",
        "nothing that this tensor was computed from requires a gradient, so it will never get one",
        "x.requires_grad_()  # on the input, before the computation",
    ),
    Meaning(
        "can't optimize a non-leaf Tensor",
        "the optimizer was given the result of an operation; only leaves can be updated",
        "w = (torch.randn(10) * 0.01).requires_grad_()  # computes first, becomes a leaf then",
    ),
    Meaning(
        "optimizer got an empty parameter list",
        "the model has no registered parameters: layers in a plain list or dict are not found",
        "self.layers = nn.ModuleList(layers)",
    ),
    Meaning(
        "One of the differentiated Tensors appears to not have been used in the graph",
        "autograd.grad was asked for a tensor that the result was not computed from",
        "torch.autograd.grad(y, x, allow_unused=True)  # gives None; or compute y from x",
    ),
    Meaning(
        "One of the differentiated Tensors does not require grad",
        "autograd.grad was asked for a tensor that did not require a gradient when the result was "
        "computed",
        "x.requires_grad_()  # before the forward",
    ),
    Meaning(
        "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol",
        "a result with a graph cannot be copied with it",
        "x.detach().clone()  # in the place of copy.deepcopy(x)",
    ),
    Meaning(
        "returned an incorrect number of gradients",
        "the backward of a custom autograd.Function has to return one gradient per argument of "
        "its forward",
        "return grad_x, grad_weight, None  # None for arguments without a gradient",
    ),
    Meaning(
        "returned an invalid gradient at index",
        "the backward of an op returned a gradient whose shape or device is not that of its input",
        "return grad_output.sum(0)  # in the shape of the input",
    ),
)
