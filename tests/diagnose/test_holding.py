"""What a forgotten parameter is told with, in the names of the script."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.diagnose.holding import both, made_anew, parts
from gradscope.model.graph import Node, Source
from tests.builders import line
from tests.diagnose.script_runs import SCRIPTS, run
from tests.diagnose.traces import gradients, judge, parameter


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (["g.f.0.weight", "g.f.0.bias"], ["d.f.0.weight"], (["g"], ["d"])),
        (["net.enc.0.weight"], ["net.dec.weight"], (["net.enc"], ["net.dec"])),
        (["net.0.weight", "net.2.bias"], ["net.4.weight"], (["net[0]", "net[2]"], ["net[4]"])),
        (["w1"], ["net.0.weight"], (["w1"], ["net"])),
        (["net.a.weight"], ["net.a.bias", "net.b.bias"], ([], [])),
        (["tensor[3, 80]"], ["net.weight"], ([], [])),
        ([], ["net.weight"], ([], [])),
    ],
)
def test_what_tells_two_groups_apart(
    mine: list[str], theirs: list[str], expected: tuple[list[str], list[str]]
) -> None:
    assert parts(mine, theirs) == expected


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ("enc.0.weight", "dec.weight", "Adam([*enc.parameters(), *dec.parameters()], lr=lr)"),
        ("net.enc.weight", "net.dec.weight", "Adam(net.parameters(), lr=lr)"),
        ("w1", "net.0.weight", "Adam([w1, *net.parameters()], lr=lr)"),
        ("tensor[3]", "net.0.weight", ""),
    ],
)
def test_the_optimizer_that_holds_both(mine: str, theirs: str, expected: str) -> None:
    fix = both([parameter(0, mine)], [parameter(1, theirs, optimizer="Adam#2")])
    assert expected in fix
    assert bool(fix) == bool(expected)


HEAD = line(12, "return fc(x)", "fc(x)")


@pytest.mark.parametrize(
    ("uses", "registered", "source", "fix"),
    [
        (1, None, HEAD, "self.fc = Linear(...)"),
        (1, None, None, "self.layer = Linear(...)"),
        (4, None, HEAD, None),
        (2, None, HEAD, None),  # two losses of each forward
        (0, None, HEAD, None),
        (1, False, HEAD, None),
        (1, True, HEAD, None),
    ],
)
def test_a_layer_that_every_forward_makes_is_another(
    uses: int, registered: bool | None, source: Source | None, fix: str | None
) -> None:
    seen = replace(parameter(gradient=gradients([1.0] * 4)), uses=uses, registered=registered)
    told = made_anew(seen, Node(0, "op", "AddmmBackward0", module_type="Linear", source=source))
    assert (told is None) == (fix is None)
    assert told is None or fix is None or fix in told.fix


def told_of(script: str) -> str:
    path = SCRIPTS / "bad" / script
    (finding,) = judge(run(path.read_text(encoding="utf-8"), str(path)), "GS403")
    return f"{finding.message} | {finding.fix}"


def test_the_optimizer_that_holds_another_network() -> None:
    said = told_of("gs403_painter_holds_the_judge.py")
    assert "`painter.body.2.bias`" in said
    assert "`torch.optim.Adam(judge.parameters(), lr=1e-3)`" in said
    assert "`judge.body.0.weight`" in said
    assert said.endswith("| torch.optim.Adam(painter.parameters(), lr=1e-3)  # not those of judge")


def test_the_layer_that_is_made_in_forward() -> None:
    said = told_of("gs403_layer_made_in_forward.py")
    assert "the `Linear` of `head(h)` is made anew in every forward pass" in said
    assert said.endswith("| self.head = Linear(...)  # in __init__; forward calls self.head")
