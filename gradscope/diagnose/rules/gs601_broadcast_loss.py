"""A prediction and a target of different shapes are broadcast to N × N before the loss.

What: Two tensors of equally many elements, of which one has an extra dimension of size 1, such as
``[N, 1]`` and ``[N]``, meet in a subtraction, a product or a loss function, and the larger result
goes through elementwise ops only into the mean or sum that is the loss. A deliberate table of
pairs (``x[:, None] - x[None, :]``, the differences of two scores, a kernel), a bias or a mask is
none of this.

Why it hurts: Every prediction is compared with every target. The best answer is then the mean of
all targets, whatever the input; the loss falls a little and stays there.

Example::

    loss = ((net(x) - y) ** 2).mean()     # [64, 1] - [64] is [64, 64]

Instead::

    loss = ((net(x).squeeze(1) - y) ** 2).mean()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.paths import op_base, role
from gradscope.diagnose.around import users_of
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.tables import is_wanted
from gradscope.diagnose.words import op_in_line
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Step

RULE = Rule("GS601", "broadcast-loss", "A prediction and a target broadcast to N × N in the loss.")

HABIT = 0.5  # of the graphs judged
_ELEMENTWISE = frozenset(
    {"Sub", "Rsub", "Add", "Mul", "Div", "Neg", "Pow", "Abs", "Sqrt", "Exp", "Log", "Log1P"}
    | {"Sigmoid", "Tanh", "Relu", "Clamp", "ClampMin", "ClampMax", "Maximum", "Minimum", "Where"}
    | {"MseLoss", "SmoothL1Loss", "HuberLoss", "Softplus", "LogSigmoid", "Cosh", "Xlogy"}
)


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        finding = _in_story(story)
        if finding is not None:
            yield finding


def _in_story(story: Story) -> Finding | None:
    judged = story.judged
    seen = [(step, graph, node) for step, graph in judged for node in _pairs(graph)[:1]]
    if not seen or len(seen) < HABIT * len(judged):
        return None
    return _finding(seen[0][0], *seen[-1], (len(seen), len(judged)))


def _pairs(graph: Graph) -> list[Node]:
    """The last node of each call in which a prediction met a target of another shape, in order."""
    calls: dict[object, Node] = {}
    for node in sorted(graph.structure.nodes, key=lambda node: node.order):
        if _alike(node) and (_is_loss(node) or not is_wanted(graph.structure, node)):
            calls[node.source, node.call, node.iteration] = node
    return [node for node in calls.values() if _only_into_the_loss(graph.structure, node.id)]


def _alike(node: Node) -> bool:
    """Whether the shapes differ by a dimension of size 1 alone.

    By hand, ``[N, 1, D]`` and ``[N, D]`` are rather all pairs of N vectors.
    """
    shapes = node.operands
    if len(shapes) != 2 or len(shapes[0]) == len(shapes[1]):
        return False
    first, second = (tuple(size for size in shape if size != 1) for shape in shapes)
    return first == second and (len(first) in (1, 3, 4) or (bool(first) and _is_loss(node)))


def _is_loss(node: Node) -> bool:
    return node.call.endswith("_loss") or node.call == "kl_div"


def _only_into_the_loss(structure: Structure, node: int) -> bool:
    """Whether nothing but elementwise ops and reductions lies between the node and the loss."""
    seen = {node}
    stack = [node]
    while stack:
        here = stack.pop()
        for user in users_of(structure, here):
            op = structure.nodes[user].op
            if op_base(op) not in _ELEMENTWISE and role(op) != "spread":
                return False
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return True


def _finding(first: Step, step: Step, graph: Graph, node: Node, seen: tuple[int, int]) -> Finding:
    one, two = (_shape(shape) for shape in node.operands)
    once = "; judged on 1 backward only" if seen[1] == 1 else ""
    return RULE.finding(
        "error" if seen[1] > 1 else "warning",
        f"{one} and {two} are broadcast against each other on the way to the loss: "
        f"{op_in_line(node)}{once}",
        where=Where(
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or step.source,
            nodes=(node.id,),
            step=step.index,
        ),
        steps=(first.index, step.index),
        seen=seen[0],
        of=seen[1],
        evidence={"first": one, "second": two, "call": node.call},
        cause="The two operands have equally many elements but not the same shape, so that "
        "each element of one meets every element of the other.",
        fix="prediction = prediction.reshape(target.shape)",
        silence="Equal shapes, a dimension added in the same line where all pairs are meant, or "
        "--ignore GS601.",
    )


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
