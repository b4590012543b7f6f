from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.stats import TensorStats
from tests.builders import GraphBuilder, line, trace_with
from tests.diagnose.broken_traces import broken, chain, values, with_bad_path
from tests.diagnose.script_runs import run
from tests.diagnose.traces import INF, judge


def test_a_loss_that_is_no_number_leads_to_the_first_op_of_the_forward() -> None:
    graph = chain(
        [
            ("Mul", values(0.0, 4.0), broken("nan", 4)),
            ("Log", values(-INF, 1.4, inf=1), broken("nan", 4)),
            ("Exp", values(0.0, 4.0), 1.0),
            ("Div", values(0.0, 0.0, nan=1), 1.0),
        ],
        broken("nan", 4),
    )
    graph = with_bad_path(graph, ["Log", "Exp", "Div"])
    (finding,) = judge(trace_with(graph), "GS202")
    assert (
        "`LogBackward0` of `h = log(h)` (train.py:11) turned finite values into" in finding.message
    )
    assert finding.evidence["where"] == "forward"


def test_an_infinite_mask_that_does_no_harm_is_passed_by() -> None:
    b = GraphBuilder()
    scores = b.op("Bmm", b.leaf("q", (4,)), shape=(4,), gradient=1.0, value=1.0)
    masked = b.op("MaskedFill", scores, shape=(4,), gradient=1.0)
    soft = b.op("Softmax", masked, shape=(4,), gradient=1.0, value=0.5)
    b.op("Sum", soft, shape=(), gradient=1.0, value=1.0)
    graph = b.graph()
    mask = {(b.ids[masked], 0): values(-INF, 1.0, inf=2)}
    harmless = replace(graph, values={**graph.values, **mask})
    assert diagnose(trace_with(harmless)).findings == ()
    whole_row = {
        (b.ids[soft], 0): values(0.0, 0.0, nan=4),
        (graph.structure.roots[0], 0): values(0.0, 0.0, 1, nan=1),
    }
    harmful = replace(harmless, values={**harmless.values, **whole_row})
    (finding,) = judge(trace_with(harmful), "GS202")
    assert finding.where.op == "SoftmaxBackward0"
    assert "finfo" in finding.fix


@pytest.mark.parametrize(
    ("op", "value", "cause"),
    [
        ("Sqrt", values(-2.0, 1.0), "no real square root"),
        ("Log", values(-2.0, 1.0), "no real logarithm"),
        ("Log", values(0.0, 1.0), "log\\(0\\)"),
        ("Exp", values(0.0, 100.0), "overflows"),
        ("Addmm", values(-1.0, 1.0), "data"),
        ("Addmm", values(-1.0, 1e30), "too large"),
    ],
)
def test_the_values_decide_about_the_cause(op: str, value: TensorStats, cause: str) -> None:
    graph = chain([("Mul", value, 1.0), (op, None, 1.0)], 1.0)
    (finding,) = judge(trace_with(with_bad_path(graph, [op])), "GS202")
    assert finding.where.op == f"{op}Backward0"
    assert re.search(cause, finding.cause)


def test_a_result_inside_a_composite_call_does_not_hide_where_it_began() -> None:
    """The log-softmax inside cross-entropy was not measured; the logits were, and are infinite."""
    graph = chain(
        [
            ("Mul", values(1.0, 4.0), broken("nan")),
            ("Exp", values(1.0, INF, inf=1), broken("nan")),
            ("LogSoftmax", None, broken("nan")),
            ("NllLoss", values(0.0, 0.0, 1, nan=1), 1.0),
        ],
        broken("nan"),
    )
    (finding,) = judge(trace_with(graph), "GS202")
    assert finding.where.op == "ExpBackward0"
    assert finding.where.source is not None
    assert finding.where.source == line(11, "h = exp(h)")


@pytest.mark.parametrize("code", ["GS201", "GS203", "GS205"])
def test_no_other_rule_tells_it_too(code: str) -> None:
    graph = chain([("Mul", values(0.0, 1.0), broken("nan")), ("Log", None, 1.0)], broken("nan"))
    assert judge(trace_with(with_bad_path(graph, ["Log"])), code) == []


PROBABILITY = """
import torch

torch.manual_seed(0)
net = torch.nn.Linear(6, 3)
x, y = 400 * torch.randn(32, 6), torch.randint(0, 3, (32,))
p = {p}
(-torch.log({q})).mean().backward()
"""


@pytest.mark.parametrize(
    ("p", "q", "words"),
    [
        ("torch.sigmoid(net(x))", "p", "binary_cross_entropy_with_logits"),
        ("torch.sigmoid(net(x)).squeeze(1)", "1 - p", "F.logsigmoid(-z) for log(1 - p)"),
        ("torch.softmax(net(x), 1)", "p[range(32), y]", "F.log_softmax(z, dim=-1)"),
        ("net(x).relu()", "p", "torch.log(x.clamp_min(1e-12))"),
    ],
)
def test_a_logarithm_of_probabilities(p: str, q: str, words: str, tmp_path: Path) -> None:
    trace = run(PROBABILITY.format(p=p, q=q), str(tmp_path / "train.py"))
    (finding,) = judge(trace, "GS202")
    assert words in finding.fix
