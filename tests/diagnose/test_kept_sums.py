"""Running totals whose terms' own backward has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.diagnose import diagnose
from tests.diagnose.script_runs import run
from tests.diagnose.traces import findings_of

LOOP = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Linear(6, 1)
opt = torch.optim.SGD(net.parameters(), lr=1e-3)
total, seen = 0, {{"mse": 0}}
for i in range({steps}):
    x = torch.randn(8, 6)
    loss = nn.functional.mse_loss(net(x), x[:, :1])
    opt.zero_grad()
    loss.backward({how})
    opt.step()
    {add}
"""


@pytest.mark.parametrize(
    ("add", "said"),
    [
        ("total += loss", "`total` adds up 25 losses"),
        ("total = total + loss", "`total` adds up 25 losses"),
        ("total = loss * 2 + total", "`total` adds up 25 losses"),
        ("total = 0.9 * total + 0.1 * loss", "`total` adds up 25 losses"),
        ("seen['mse'] += loss * len(x)", "`seen['mse']` adds up 25 losses"),
        ("total += loss.item()", ""),
        ("total = total + loss.detach()", ""),
        ("total = loss + loss", ""),
        ("total = total + net(x).mean()", ""),
    ],
)
def test_a_total_for_the_log(add: str, said: str, tmp_path: Path) -> None:
    trace = run(LOOP.format(steps=25, how="", add=add), str(tmp_path / "train.py"))
    found = findings_of(diagnose(trace), "GS503")
    assert len(found) == bool(said)
    for finding in found:
        assert finding.severity == "info"
        assert said in finding.message
        assert finding.where.source is not None
        assert finding.where.source.line == 14


@pytest.mark.parametrize(("steps", "expected"), [(19, 0), (22, 1)])
def test_a_few_steps_do_not_matter(steps: int, expected: int, tmp_path: Path) -> None:
    trace = run(LOOP.format(steps=steps, how="", add="total += loss"), str(tmp_path / "train.py"))
    assert len(findings_of(diagnose(trace), "GS503")) == expected


def test_graphs_that_were_kept_can_still_be_used(tmp_path: Path) -> None:
    text = LOOP.format(steps=25, how="retain_graph=True", add="total += loss")
    trace = run(text, str(tmp_path / "train.py"))
    assert findings_of(diagnose(trace), "GS503") == []
