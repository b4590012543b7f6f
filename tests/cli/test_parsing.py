"""The command line as a job: options end where the program begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradscope import cli
from gradscope.job import RenderJob

Parse = Callable[..., RenderJob]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """Run the command line up to the job that it asks for."""
    jobs: list[RenderJob] = []

    def take(job: RenderJob) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr(cli, "run_job", take)
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> RenderJob:
        assert cli.main(["render", *args]) == 0
        return jobs[-1]

    return run


def test_what_follows_the_script_is_the_scripts(parse: Parse) -> None:
    job = parse("-o", "a.svg", "train.py", "-o", "b.svg", "--help", "--", "-q", "-m", "x")
    assert (job.target, job.is_module) == ("train.py", False)
    assert job.args == ("-o", "b.svg", "--help", "--", "-q", "-m", "x")
    assert job.outputs == (Path("a.svg"),)
    assert not job.quiet


@pytest.mark.parametrize(
    "before",
    [
        ["-m", "pkg.train"],
        ["-mpkg.train"],
        ["-qm", "pkg.train"],
        ["-q", "-o", "-m.svg", "-m", "pkg.train"],
        ["--depth=3", "-m", "pkg.train"],
        ["--every", "2", "-om.svg", "-m", "pkg.train"],
    ],
)
def test_what_follows_the_module_is_the_modules(parse: Parse, before: list[str]) -> None:
    job = parse(*before, "--lr", "0.1", "-o", "x", "data")
    assert (job.target, job.is_module) == ("pkg.train", True)
    assert job.args == ("--lr", "0.1", "-o", "x", "data")


def test_a_script_may_be_called_like_an_option(parse: Parse) -> None:
    assert parse("--", "-m.py", "-q").target == "-m.py"


def test_every_option_arrives(parse: Parse) -> None:
    job = parse(
        *("-o", "a.svg", "-o", "b.md", "--format", "json", "--level", "modules", "--every", "3"),
        *("--steps", "0,10,-1", "--budget", "5%", "--depth", "2", "--max-nodes", "50"),
        *("--select", "gs1,GS401", "--ignore", "GS102", "--open", "-q", "--color", "never", "x.py"),
    )
    capture = job.capture
    assert (capture.level, capture.every, capture.steps) == ("modules", 3, (0, 10, -1))
    assert capture.budget == pytest.approx(0.05)
    assert job.outputs == (Path("a.svg"), Path("b.md"))
    assert (job.form, job.depth, job.max_nodes) == ("json", 2, 50)
    assert (job.select, job.ignore) == (("GS1", "GS401"), ("GS102",))
    assert (job.open_file, job.quiet, job.color) == (True, True, "never")


def test_defaults_come_from_pyproject_and_options_win(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.gradscope]\nevery = 4\nmax-nodes = 60\nignore = ['GS102']\nquiet = true\n"
    )
    job = parse("--max-nodes", "70", "x.py")
    assert (job.capture.every, job.max_nodes) == (4, 70)
    assert (job.ignore, job.quiet) == (("GS102",), True)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "Usage: gradscope"),
        (["render"], "Usage: gradscope render"),
        (["render", "-q"], "name a script, or a module with -m."),
        (["render", "--every", "0", "x.py"], "0 is not in the range"),
        (["render", "--steps", "a", "x.py"], "'a' is not a list of step numbers"),
        (["render", "--budget", "300%", "x.py"], "'300%' is not a share of the run"),
        (["render", "--level", "op", "x.py"], "'op' is not one of"),
        (["render", "--nonsense", "x.py"], "No such option"),
        (["render", "-m"], "requires an argument"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_use_is_exit_2(
    args: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert shown.out == ""


def test_a_wrong_pyproject_is_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.gradscope]\nlevle = 'ops'\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", "x.py"]) == 2
    assert "has no key 'levle'; did you mean 'level'?" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["render", "--help"]])
def test_help_is_exit_0(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 0
    assert capsys.readouterr().out.startswith("Usage: gradscope")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gradscope, version ")
