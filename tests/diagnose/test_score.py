"""The scorer's arithmetic, and its bars on one variant of a part of the scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.diagnose import score
from tests.diagnose.score import (
    SHARE,
    Outcome,
    failed_bars,
    import_seconds,
    judge,
    main,
    rules_share,
    scores,
    table,
)
from tests.diagnose.script_runs import SCRIPTS, expected

HIT = Outcome("a", ("GS401", 3), (("GS401", "error", 3),), 1.0, 0.01)
ELSEWHERE = Outcome("b", ("GS401", 3), (("GS401", "error", 4), ("GS101", "info", 1)), 1.0, 0.02)
MISS = Outcome("c", ("GS401", 3), (("GS102", "warning", 3),), 1.0, 0.2)
HEALTHY = Outcome("d", None, (("GS606", "info", 1),), 1.0, 0.01)
ALARM = Outcome("e", None, (("GS102", "error", None),), 1.0, 0.01)


def test_sums() -> None:
    found = scores([HIT, ELSEWHERE, MISS, HEALTHY, ALARM])
    rule, total = found["GS401"], found[""]
    assert (rule.scripts, rule.detected, rule.located, rule.false_alarms) == (3, 2, 1, 0)
    assert rule.recall == pytest.approx(2 / 3)
    assert rule.located_share == 0.5
    assert found["GS102"].false_alarms == total.false_alarms == 2
    assert total.precision == 0.5
    assert "GS606" not in found


def test_bars() -> None:
    assert list(failed_bars([HIT, HEALTHY])) == []
    missed = "\n".join(
        failed_bars([HIT, ELSEWHERE, MISS, ALARM, Outcome("f", None, broken="E: x")])
    )
    for part in (
        "recall 66.7%",
        "precision 50.0%",
        "located 50.0%",
        "healthy scripts: e",
        "f (E: x)",
    ):
        assert part in missed
    slow = Outcome("g", None, (), 1.0, 0.2)
    assert "20.0% of the scripts' own time" in "".join(failed_bars([slow]))
    assert rules_share([slow], 1.0) == pytest.approx(0.1)
    assert list(failed_bars([slow], 3.0)) == []
    assert any(row.startswith("| GS401 | 3 | 2 | 67% |") for row in table([HIT, ELSEWHERE, MISS]))


def sample() -> list[Path]:
    """One faulty script per rule and every sixth healthy one."""
    first: dict[str, Path] = {}
    for path in sorted((SCRIPTS / "bad").glob("*.py"), reverse=True):
        label = expected(path.read_text("utf-8"))
        first |= {label[0]: path} if label else {}
    return [*first.values(), *sorted((SCRIPTS / "good").glob("*.py"))[::6]]


def test_the_bars_are_reached(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outcomes = [judge(script, 1, 1.0, str(tmp_path)) for script in sample()]
    finally:
        torch.set_num_threads(threads)
    import_s = import_seconds()
    assert list(failed_bars(outcomes, import_s)) == []
    assert 0 < rules_share(outcomes, import_s) <= SHARE


def test_a_folder_of_other_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "import_seconds", lambda: 1.0)
    (tmp_path / "piles.py").write_text(
        "import torch\ntorch.manual_seed(0)\nw = torch.ones(2, requires_grad=True)\n"
        "o = torch.optim.SGD([w], lr=0.1)\nfor _ in range(6):\n"
        "    (w * w).mean().backward()  # expect: GS401\n    o.step()\n"
    )
    (tmp_path / "raises.py").write_text("import torch\n1 / 0\n")
    arguments = ["--scripts", str(tmp_path), "--seeds", "1", "--scales", "1", "-k"]
    main([*arguments, "piles"])
    assert "| GS401 | 1 | 1 | 100% | 100.0% | 100% | 0 |  |" in capsys.readouterr().out
    assert main([*arguments, "raises"]) == 1
    assert "raises (ZeroDivisionError: division by zero)" in capsys.readouterr().out
