"""Calls that cut the graph: which of them to blame for a loss without one, and what to say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradscope.diagnose.words import code, name, place
from gradscope.model.events import Cut

_SOFT = frozenset(
    {"detach", "data", "no_grad", "inference_mode", "set_grad_enabled", "to", "type", "bool"}
    | {"eq", "ne", "lt", "le", "gt", "ge", "less", "greater", "isclose"}
)  # targets and masks are made so on purpose
_OFF = frozenset({"no_grad", "inference_mode", "set_grad_enabled"})
_VALUES = frozenset({"detach", "data", "numpy", "tensor", "as_tensor", "new_tensor"})
_NUMBERS = frozenset({"item", "tolist", "float", "int", "index"})
_CHANGES = re.compile(r"\.(data|detach\(\))\s*(\.\w+_\(|\[[^]]*\]\s*[-+*/]?=(?!=)|[-+*/]?=(?!=))")
CHOICES = frozenset({"argmin", "argmax", "argsort"})
_COMPARISONS = {  # and what a line contains that makes one
    "eq": "==",
    "ne": "!=",
    "isclose": "isclose",
    "bool": "bool",
    "logical_not": "~",
    **dict.fromkeys(("lt", "le", "less", "less_equal"), "<"),
    **dict.fromkeys(("gt", "ge", "greater", "greater_equal"), ">"),
}


def chosen(cuts: Sequence[Cut]) -> Cut | None:
    """The one to blame, among those that the loss was computed from.

    The nearest to the loss; what also makes targets and masks only if there is nothing else, or in
    the statement of the loss itself.
    """
    ranked = [
        (cut.op in _SOFT and (cut.depth or 0) > 0, cut.depth or 0, -position, cut)
        for position, cut in enumerate(cuts)
        if cut.depth is not None
    ]
    return min(ranked, key=lambda entry: entry[:3])[3] if ranked else None


def likeliest_first(cuts: Sequence[Cut]) -> list[Cut]:
    """Those that may have taken parameters out of a loss that has a graph.

    What keeps the values comes before numbers, and these before choices and comparisons; then what
    cuts off most; then the last in time. A comparison that the user's line does not contain was
    made by a library, to check its arguments.
    """
    ranked = [
        (_kind(cut), -len(cut.parameters), -position, cut)
        for position, cut in enumerate(cuts)
        if _is_written(cut)
    ]
    return [entry[3] for entry in sorted(ranked, key=lambda entry: entry[:3])]


def _kind(cut: Cut) -> int:
    return 0 if cut.op in _VALUES or cut.op == "sample" else 1 if cut.op in _NUMBERS else 2


def is_changed_there(cut: Cut) -> bool:
    """Whether the line takes a leaf's values to change them: the average of a target network."""
    text = cut.source.text if cut.source is not None else ""
    return cut.op in ("data", "detach") and not cut.made_by and bool(_CHANGES.search(text))


def _is_written(cut: Cut) -> bool:
    sign = _COMPARISONS.get(cut.op)
    if sign is None or cut.source is None:
        return True
    said = cut.source.expression or cut.source.text
    return sign in said or f"{cut.op}(" in said


def said_of(cut: Cut) -> str:
    """```out.argmax(1)` (train.py:6) has cut it off``."""
    source = cut.source
    if cut.op == "grad_mode" or (cut.op == "inference_mode" and source is None):
        return f"{_mode(cut)}, so that nothing is recorded"
    if cut.op in _OFF:
        return f"it was computed under {name(cut.op)}{place(source)}, where nothing is recorded"
    called = source.expression if source is not None else ""
    what = name(called or (code(source) if source is not None and source.text else cut.op))
    return f"{what}{place(source)} has cut it off from everything before"


def _mode(cut: Cut) -> str:
    if cut.op == "inference_mode":
        return "inference mode is on"
    source = cut.source
    if source is None:
        return "grad mode is off"
    written = source.expression if "set_grad_enabled" in source.expression else code(source)
    return f"grad mode is off since {name(written)}{place(source)}"


STRAIGHT_THROUGH = (
    "The nearest entry of a table is a choice: no gradient goes through it to what was compared.",
    "q = z + (q - z).detach()  # straight through: q's values, z's gradient",
)


def advice_between(cut: Cut) -> tuple[str, str]:
    """The same where the cut lies between two layers, not between the model and the loss."""
    why, instead = advice(cut)
    if cut.into_loss:
        instead = "loss = loss + {}  # the tensor itself; .item() and float() only for the log"
    if cut.op in CHOICES:
        instead = "F.gumbel_softmax({}, hard=True)  # a choice that has a gradient; then @ table"
    elif cut.op in _COMPARISONS:
        instead = "torch.sigmoid({} / temperature)  # a soft comparison has a gradient"
    return why, instead


def advice(cut: Cut) -> tuple[str, str]:
    """Why it cuts, and what to write instead."""
    line = cut.source.text if cut.source is not None else ""
    if cut.op == "grad_mode" and line and "set_grad_enabled" not in line:
        return _SWITCHED_OFF, _BLOCK
    if cut.op.endswith(".sample"):
        return ADVICE["multinomial"]
    through_numpy = cut.op in ("detach", "data") and ".numpy()" in line
    return ADVICE.get("numpy" if through_numpy else cut.op, ADVICE["detach"])


_OUT_OF_TORCH = (
    "A Python number or a numpy array knows nothing of how it was computed; what is computed from "
    "it has no graph."
)
_STEPS = "Its result is an index or a count: it does not change with small changes of its input."
_SWITCHED_OFF = "In there no graph is recorded, whatever requires a gradient."
_BLOCK = "with torch.no_grad():  # around the evaluation only; no backward and no yield inside"

ADVICE = {
    "grad_mode": (
        "It was never switched on again, and while it is off no graph is recorded, whatever "
        "requires a gradient.",
        "torch.set_grad_enabled(True)  # when the evaluation ends; or with torch.no_grad(): around "
        "the evaluation only",
    ),
    "detach": (
        "detach() gives the values without the graph behind them.",
        "{}  # without detach() where the loss is computed",
    ),
    "data": (
        ".data gives the values without the graph behind them.",
        "{}  # without .data where the loss is computed",
    ),
    **dict.fromkeys(
        ("item", "tolist", "numpy", "from_numpy", "float", "int"),
        (_OUT_OF_TORCH, "{}  # the tensor itself; .item() and .numpy() only for the log"),
    ),
    **dict.fromkeys(
        ("tensor", "as_tensor", "new_tensor"),
        (
            "It copies the values into a new tensor that has no graph.",
            "torch.stack(losses)  # or the tensor itself, in the place of torch.tensor(...)",
        ),
    ),
    **dict.fromkeys(
        ("argmax", "argmin", "argsort"),
        (_STEPS, "loss = F.cross_entropy({}, y)  # takes the scores, not the chosen class"),
    ),
    **dict.fromkeys(
        ("eq", "ne", "lt", "le", "gt", "ge", "less", "greater", "isclose", "bool"),
        (
            "A comparison gives True or False: it does not change with small changes of its input.",
            "loss = F.binary_cross_entropy_with_logits({}, y)  # a loss that has a derivative, in "
            "the place of the share that is right",
        ),
    ),
    **dict.fromkeys(
        ("long", "int", "short", "byte", "char", "to", "type"),
        (
            "Whole numbers have no gradients: a conversion to them ends the graph.",
            "{}  # in floating point; convert the target, not the prediction",
        ),
    ),
    **dict.fromkeys(
        ("bernoulli", "multinomial"),
        (
            "A random choice has no derivative.",
            "loss = -(log_prob * reward).mean()  # or a reparametrised sample, such as "
            "F.gumbel_softmax({})",
        ),
    ),
    "sample": (
        "sample() draws under torch.no_grad(): its result does not lead to the parameters of the "
        "distribution.",
        "{}.rsample()  # the reparametrised sample, which has a gradient",
    ),
    **dict.fromkeys(
        ("no_grad", "inference_mode", "set_grad_enabled"),
        (_SWITCHED_OFF, "loss = criterion(model(x), y)  # outside of no_grad() in training"),
    ),
}
