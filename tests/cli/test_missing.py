"""What is missing is said: also to who asked for quiet, on one line, and where stderr is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.console import wants_color
from gradscope.errors import UsageError
from gradscope.saving import target_of
from tests.command import gradscope, run

NO_BACKWARD = "import torch\nW = torch.ones(2, requires_grad=True)\n"
STEP = f"{NO_BACKWARD}(W * 2).sum().backward()\n"
# Stands for a torch that the tracer does not know.
NO_TRACER = f"import sys\nsys.modules['gradscope.capture.tracer'] = None\n{STEP}"
UNWRITTEN = "was not written: no graph was recorded, so there is nothing to draw"
UNATTACHED = "gradscope: could not attach to torch: ModuleNotFoundError("


def test_quiet_tells_of_a_file_that_was_not_written(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(NO_BACKWARD)
    (tmp_path / "old.svg").write_text("old")
    outputs = ("-o", "new.svg", "-o", "old.svg", "-o", "out.json")
    ran = gradscope(tmp_path, "render", "-q", *outputs, "train.py")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.err.splitlines() == [
        f"gradscope: new.svg {UNWRITTEN}.",
        f"gradscope: old.svg {UNWRITTEN}; the file there is from an earlier run.",
    ]
    assert ran.files == {"train.py", "old.svg", "out.json"}


def test_quiet_tells_of_a_picture_that_stdout_did_not_get(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(NO_BACKWARD)
    ran = gradscope(tmp_path, "render", "-q", "--format", "svg", "train.py")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.err == "gradscope: no graph was recorded, so there is nothing to draw.\n"


def test_quiet_leaves_a_folder_without_pictures_alone(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(NO_BACKWARD)
    ran = gradscope(tmp_path, "render", "-q", "-o", "report/", "train.py")
    assert (ran.code, ran.err) == (0, "")
    assert not (tmp_path / "report" / "graph.svg").exists()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("render -q -o out.json", 0),
        ("render --format dot", 0),
        ("check -q", 3),
        ("check --format json", 3),
        ("flow -q --to W", 2),
    ],
)
def test_a_tracer_that_could_not_begin_is_told(tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "train.py").write_text(NO_TRACER)
    ran = gradscope(tmp_path, *command.split(), "train.py")
    assert ran.code == code
    assert ran.err.splitlines()[0].startswith(UNATTACHED)
    assert ran.err.count("could not attach") == 1


@pytest.mark.parametrize("command", ["render", "check"])
def test_a_report_for_people_says_it_once(tmp_path: Path, command: str) -> None:
    (tmp_path / "train.py").write_text(NO_TRACER)
    ran = gradscope(tmp_path, command, "-o", "out.json", "train.py")
    assert ran.err.count("could not attach to torch") == 1


@pytest.mark.parametrize("end", ["", "sys.exit('bye')\n", "raise ValueError('mine')\n"])
def test_a_program_may_close_stderr(tmp_path: Path, end: str) -> None:
    (tmp_path / "train.py").write_text(f"import sys\n{STEP}sys.stderr.close()\n{end}")
    plain = run(tmp_path, "train.py")
    ran = gradscope(tmp_path, "render", "-o", "out.json", "train.py")
    assert (ran.code, ran.out) == (plain.code, plain.out)
    assert ran.json("out.json")["steps"][0]["loss"] == 4


def test_a_closed_stream_carries_no_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with (tmp_path / "out").open("w") as stream:
        pass
    assert not wants_color("auto", stream)
    assert not wants_color("auto", None)
    assert wants_color("always", stream)


@pytest.mark.parametrize("content", [NO_BACKWARD, "x = = 1\n"])
def test_a_hostile_name_is_shown_on_one_line(tmp_path: Path, content: str) -> None:
    name = "two\nlines\x1b[31m.py"
    (tmp_path / name).write_text(content)
    ran = gradscope(tmp_path, "render", name)
    said = [line for line in ran.err.splitlines() if line.startswith("gradscope: ")]
    shown = r"two\nlines\x1b[31m"
    assert said == (
        [
            f"gradscope: {shown}.gradscope.svg {UNWRITTEN}.",
            f"gradscope: wrote {shown}.gradscope.html.",
        ]
        if content == NO_BACKWARD
        else [
            f"gradscope: {shown}.py is not valid Python (line 1), so nothing ran and nothing was "
            "recorded."
        ]
    )


def test_an_output_without_a_name_is_no_folder() -> None:
    with pytest.raises(UsageError, match="the name of an output is empty"):
        target_of("")
