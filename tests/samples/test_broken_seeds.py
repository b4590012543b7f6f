"""Snippets that are broken as printed: Python's own error, one sentence, never our traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import SEEDS, gradscope, run

BROKEN = {
    "lost_indentation": "IndentationError: expected an indented block after class definition",
    "optimizer_alone": "NameError: name 'model' is not defined",
    "loss_alone": "NameError: name 'model' is not defined",
    "missing_import": "NameError: name 'torch' is not defined",
    "wrong_alias": "NameError: name 'tor' is not defined",
    "module_called": "TypeError: 'module' object is not callable",
    "official_loop": "NameError: name 'net' is not defined",
    "training_alone": "NameError: name 'model' is not defined",
}


def test_every_broken_snippet_is_run() -> None:
    assert {path.stem for path in (SEEDS / "broken").glob("*.py")} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_snippet_gets_pythons_error_and_one_sentence(name: str, tmp_path: Path) -> None:
    script = str(SEEDS / "broken" / f"{name}.py")
    alone = run(tmp_path, script)
    ran = gradscope(tmp_path, "render", script)
    assert (ran.code, ran.out) == (alone.code, alone.out)
    assert BROKEN[name] in alone.err
    assert ran.err.startswith(alone.err)
    ours = ran.err.removeprefix(alone.err)
    assert "Traceback" not in ours
    first = ours.splitlines()[0]
    if name == "lost_indentation":
        assert first.endswith("so nothing ran and nothing was recorded.")
        assert ran.files == set()
    else:
        assert BROKEN[name].partition(":")[0] in first
        assert f"{name}.py:" in first


def test_what_ran_before_the_error_is_reported(tmp_path: Path) -> None:
    script = str(SEEDS / "broken" / "training_alone.py")
    ran = gradscope(tmp_path, "render", "-q", "-o", "report.json", script)
    report = ran.json("report.json")
    assert report["script_error"]["type"] == "NameError"
    assert report["steps"][0]["loss"] == 5
