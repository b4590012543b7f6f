"""Programs from elsewhere in the repository that have nothing wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.diagnose import diagnose
from tests.diagnose.script_runs import run, variant

ROOT = Path(__file__).parent.parent.parent
SAMPLES = [
    path
    for path in sorted((ROOT / "samples").glob("*.py"))
    if "Finding:" not in path.read_text(encoding="utf-8")
]
SEEDS = sorted((ROOT / "tests" / "seeds").glob("*.py"))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("script", [*SAMPLES, *SEEDS], ids=lambda path: path.stem)
def test_no_rule_says_more_than_a_remark(script: Path, seed: int, tmp_path: Path) -> None:
    text = variant(script.read_text(encoding="utf-8"), seed, 1.0)
    report = diagnose(run(text, str(tmp_path / script.name)))
    assert [f.message for f in report.findings if f.severity != "info"] == []
    assert not any(skipped.failed for skipped in report.skipped)


def test_there_are_such_programs() -> None:
    assert len(SAMPLES) >= 6
    assert len(SEEDS) >= 6
