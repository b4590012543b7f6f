"""The rules on real scripts: the bug is named at its line, and healthy training is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gradscope.diagnose import diagnose
from gradscope.model.finding import Report
from tests.diagnose.script_runs import SCRIPTS, expected, run, variant

STRICT = ("GS101", "GS102", "GS201", "GS401")  # not even told of healthy scripts
LOUD: tuple[str, ...] = (*STRICT, "GS103", "GS104", "GS105", "GS301", "GS403", "GS406")
LOUD += ("GS503", "GS602")
LOUD += ("GS302", "GS306", "GS307", "GS410", "GS501", "GS502")
LOUD += ("GS108", "GS204", "GS402", "GS404", "GS405", "GS407", "GS409", "GS605")
LOUD += ("GS106", "GS107", "GS109", "GS202", "GS203", "GS205", "GS303", "GS601")
VARIANTS = [(0, 1.0), (1, 1e-4), (2, 1e5)]
BAD = sorted((SCRIPTS / "bad").glob("*.py"))
GOOD = sorted((SCRIPTS / "good").glob("*.py"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are faster so, and the numbers are the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def judge_script(script: Path, seed: int, scale: float, tmp_path: Path) -> Report:
    text = variant(script.read_text(encoding="utf-8"), seed, scale)
    trace = run(text, str(tmp_path / script.name))
    assert trace.steps
    report = diagnose(trace)
    assert not any(skipped.failed for skipped in report.skipped)
    return report


@pytest.mark.parametrize(("seed", "scale"), VARIANTS)
@pytest.mark.parametrize("script", BAD, ids=lambda path: path.stem)
def test_the_bug_is_named_at_its_line(
    script: Path, seed: int, scale: float, tmp_path: Path
) -> None:
    label = expected(script.read_text(encoding="utf-8"))
    assert label is not None
    code, line = label
    report = judge_script(script, seed, scale, tmp_path)
    assert [f.code for f in report.findings if f.severity != "info"] == [code]
    finding = report.findings[0]
    assert finding.where.source is not None
    assert finding.where.source.line == line


@pytest.mark.parametrize(("seed", "scale"), VARIANTS)
@pytest.mark.parametrize("script", GOOD, ids=lambda path: path.stem)
def test_healthy_training_is_left_alone(
    script: Path, seed: int, scale: float, tmp_path: Path
) -> None:
    report = judge_script(script, seed, scale, tmp_path)
    loud = [f.message for f in report.findings if f.code in STRICT or f.severity != "info"]
    assert loud == []


def test_there_are_enough_scripts_of_both_kinds() -> None:
    assert len(GOOD) >= 20
    codes = [expected(path.read_text(encoding="utf-8")) for path in BAD]
    assert {code for found in codes if found for code in found[:1]} == set(LOUD)


def test_a_variant_is_the_same_script_at_another_scale() -> None:
    text = "torch.manual_seed(0)\nopt = SGD(p, lr=0.1)\n    loss.backward(retain_graph=True)\n"
    assert variant(text, 3, 1e5) == (
        "torch.manual_seed(3)\nopt = SGD(p, lr=1e-06)\n"
        "    (loss).mul(100000.0).backward(retain_graph=True)\n"
    )


def test_a_script_about_the_factor_of_its_loss_keeps_it() -> None:
    text = "# unscaled: a factor is what it lacks\ntorch.manual_seed(0)\nloss.backward()\n"
    assert variant(text, 2, 1e5) == text.replace("(0)", "(2)")


TWELVE = """
import torch
from torch import nn

torch.manual_seed(0)
layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(12))
head = nn.Linear(16, 1)
x = torch.randn(8, 16)
for _ in range(3):
    h, kept = x, []
    for layer in layers:
        a = layer(h)
        kept.append(a)
        h = torch.sigmoid(a)
    out = head(h)
    loss = out.pow(2).mean()
    truth = torch.autograd.grad(loss, [out, kept[0]], retain_graph=True)
    loss.backward()
    for p in [*layers.parameters(), *head.parameters()]:
        p.grad = None
"""


def test_the_numbers_agree_with_autograd(tmp_path: Path) -> None:
    script = tmp_path / "twelve.py"
    trace = run(TWELVE, str(script))
    found = [f for f in diagnose(trace).findings if f.code == "GS101"]
    namespace: dict[str, list[torch.Tensor]] = {}
    exec(TWELVE, namespace)
    top, bottom = (float(g.norm()) for g in namespace["truth"])
    assert found
    for finding in found:
        assert finding.evidence["norm_loss_side"] == pytest.approx(top, rel=1e-4)
        assert finding.evidence["norm_input_side"] == pytest.approx(bottom, rel=1e-4)
        assert finding.evidence["op"] == "SigmoidBackward0"
        assert finding.evidence["op_count"] == 12
