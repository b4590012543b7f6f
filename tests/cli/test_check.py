"""``gradscope check``: findings as lines, exit codes as a linter's, nothing written unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from gradscope import cli
from gradscope.check import CheckJob, exit_code
from gradscope.model.finding import Finding, Report, Severity
from gradscope.model.trace import Trace
from gradscope.render.concise import render_concise, render_full, render_github, summary_line
from gradscope.render.options import RenderOptions
from tests.command import gradscope
from tests.render import reports

HEALTHY = """
import torch
print("mine")
w = torch.ones(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
for step in range(6):
    optimizer.zero_grad()
    loss = (w - 1.5).square().mean()
    loss.backward()
    optimizer.step()
"""
PILES_UP = HEALTHY.replace("    optimizer.zero_grad()\n", "")
LINE = PILES_UP.splitlines().index("    loss.backward()") + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(HEALTHY)
    (tmp_path / "bad.py").write_text(PILES_UP)
    return tmp_path


def test_clean_is_0_and_says_what_was_checked(folder: Path) -> None:
    ran = gradscope(folder, "check", "good.py")
    assert (ran.code, ran.out) == (0, b"mine\n")
    assert ran.err.startswith("All clean: 6 backwards, ")
    assert ran.err.endswith(" rules checked.\n")
    assert ran.files == {"good.py", "bad.py"}


def test_a_finding_is_1_and_one_line(folder: Path) -> None:
    ran = gradscope(folder, "check", "bad.py")
    first, fix, last = ran.err.splitlines()
    assert (ran.code, ran.out) == (1, b"mine\n")
    assert first.startswith(f"bad.py:{LINE}: GS401 `loss.backward()` adds to gradients")
    assert fix == "  fix: optimizer.zero_grad()"
    assert last == "Found 1 finding (1 error)."


def test_a_module_and_a_folder_further_up(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "bad.py").rename(folder / "pack" / "bad.py")
    ran = gradscope(folder, "check", "-q", "-m", "pack.bad")
    assert ran.code == 1
    assert ran.err.startswith(f"pack/bad.py:{LINE}: GS401 ")
    assert "Found" not in ran.err


def test_a_format_stands_alone_on_stdout(folder: Path) -> None:
    ran = gradscope(folder, "check", "--format", "json", "bad.py")
    document = json.loads(ran.out)
    assert (ran.code, ran.err) == (1, "mine\n")
    assert document["schema"] == "gradscope/1"
    assert [f["code"] for f in document["findings"]] == ["GS401"]


def test_github_sees_paths_from_its_workspace(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (folder / "bad.py").rename(inner / "bad.py")
    env = {"GITHUB_WORKSPACE": str(folder)}
    ran = gradscope(inner, "check", "--format", "github", "bad.py", env=env)
    start = f"::error file=inner/bad.py,line={LINE},title=GS401 accumulated-gradient::"
    assert ran.out.decode().startswith(start)
    assert len(ran.out.splitlines()) == 1


def test_files_are_written_when_asked_for(folder: Path) -> None:
    ran = gradscope(folder, "check", "-o", "out.sarif", "-o", "out.html", "bad.py")
    assert ran.code == 1
    assert ran.files == {"good.py", "bad.py", "out.sarif", "out.html"}
    assert ran.json("out.sarif")["version"] == "2.1.0"


FUNCTION = """
import torch
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].abs()
w = torch.tensor([-2.0, -1.0, 0.5, 1.0, 2.0], requires_grad=True)
Square.apply(w).mean().backward()
"""


def test_functions_are_verified_on_request(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FUNCTION)
    assert gradscope(tmp_path, "check", "own.py").code == 0
    ran = gradscope(tmp_path, "check", "--verify-functions", "own.py")
    assert ran.code == 1
    assert ran.err.startswith("own.py:9: GS607 `Square.backward` is not the derivative of")


CRASHES = {
    "in_place": (
        "w = torch.ones(3, requires_grad=True)\ny = w.exp()\ny.add_(1)\ny.sum().backward()\n",
        1,
        "GS501",
    ),
    "second": (
        "w = torch.ones(3, requires_grad=True)\ny = w.exp().sum()\ny.backward()\ny.backward()\n",
        1,
        "GS502",
    ),
    "detached": ("torch.ones(3).sum().backward()\n", 1, "GS302"),
    "no leaf": (
        "w = torch.ones(3, requires_grad=True) * 2\nw.sum().backward()\nw - 0.1 * w.grad\n",
        1,
        "GS306",
    ),
    "not to optimize": (
        "z = torch.ones(3, requires_grad=True) * 2\ntorch.optim.SGD([z], lr=0.1)\n",
        1,
        "GS306",
    ),
    "own": ("raise KeyError('gone')\n", 3, "KeyError: 'gone'"),
    "exits": ("import sys\nsys.exit(7)\n", 3, "ended itself with exit code 7"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_1_where_a_finding_explains_it(tmp_path: Path, name: str) -> None:
    text, code, said = CRASHES[name]
    (tmp_path / "crash.py").write_text(f"import torch\n{text}")
    ran = gradscope(tmp_path, "check", "crash.py")
    assert ran.code == code
    assert said in ran.err
    if name != "exits":
        assert "Traceback (most recent call last)" in ran.err


def test_what_is_not_python_failed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    ran = gradscope(tmp_path, "check", "broken.py")
    assert ran.code == 3
    assert "SyntaxError" in ran.err


def test_no_backward_is_not_called_clean(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("import torch\nprint(torch.ones(2).sum())\n")
    ran = gradscope(tmp_path, "check", "none.py")
    assert ran.code == 0
    assert "Nothing to judge: no backward was seen" in ran.err


@pytest.mark.parametrize("fail_on", get_args(Severity))
@pytest.mark.parametrize("severity", get_args(Severity))
def test_fail_on_is_the_least_severity_that_counts(severity: Severity, fail_on: Severity) -> None:
    order = ("info", "warning", "error")
    report = Report(Trace(), (Finding("GS101", "x", severity, "m"),))
    expected = int(order.index(severity) >= order.index(fail_on))
    assert exit_code(report, failed=False, fail_on=fail_on) == expected


def test_fail_on_and_defaults_of_pyproject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs: list[CheckJob] = []

    def take(job: CheckJob) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr(cli, "run_check", take)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.gradscope]\nfail-on = 'info'\nmax-nodes = 7\nevery = 3\nverify-functions = true\n"
    )
    assert cli.main(["check", "x.py", "--fail-on", "error"]) == 0
    assert cli.main(["check", "--fail-on", "error", "--every", "2", "x.py"]) == 0
    first, second = jobs
    assert (first.fail_on, first.args) == ("info", ("--fail-on", "error"))
    assert (first.capture.every, first.capture.verify_functions) == (3, True)
    assert (second.fail_on, second.capture.every) == ("error", 2)
    assert cli.main(["check", "--fail-on", "never", "x.py"]) == 2
    assert "'never' is not one of" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--help"]) == 0
    shown = capsys.readouterr().out
    for part in ("--fail-on", "--select", "--every", "--steps", "--budget", "--level", "--color"):
        assert part in shown
    assert "3 when the script failed and no finding explains why" in " ".join(shown.split())


def test_hostile_text_stays_on_its_line() -> None:
    bad = "100%\n::error::x,\x1b[31m\r"
    report = reports.accumulated_report()
    finding = Finding("GS101", "some-name", "warning", bad, where=report.findings[0].where, fix=bad)
    hostile = Report(report.trace, (finding,))
    options = RenderOptions(folder="/home/user")
    assert len(render_concise(hostile, options).splitlines()) == 2
    command = render_github(hostile, options)
    assert command.count("\n") == 1
    assert "\x1b" not in command + render_full(hostile, options)
    assert "::100%25%0A::error::x," in command
    assert command.startswith("::warning file=train.py,line=")


def test_the_summary_counts_kinds() -> None:
    findings = tuple(
        Finding("GS101", "x", severity, "m") for severity in ("error", "warning", "warning", "info")
    )
    report = Report(Trace(), findings, ignored=findings[:1])
    said = "Found 4 findings (1 error, 2 warnings, 1 info). 1 finding ignored."
    assert summary_line(report) == said


def test_consequences_are_told_in_full() -> None:
    report = reports.accumulated_report()
    effect = Finding("GS102", "exploding-gradient", "warning", "it grows")
    cause = Finding("GS401", "piles", "error", "it piles up", consequences=(effect,), fix="a\nb")
    shown = render_full(Report(report.trace, (cause,)), RenderOptions())
    assert "explains: GS102 exploding-gradient" in shown
    assert "gradscope explain GS401" in shown
    assert len(render_concise(Report(report.trace, (cause,)), RenderOptions()).splitlines()) == 2
