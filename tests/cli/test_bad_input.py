"""What goes wrong: one clear sentence, the right exit code, nothing that was recorded lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from gradscope.cli import main
from gradscope.job import RenderJob
from tests.command import LIMIT_S, PYTHONPATH, REPOSITORY, Ran, gradscope, run

STEP = "import torch\nW = torch.tensor(2.0, requires_grad=True)\ny = W * 3\ny.backward()\n"


def _write(folder: Path, content: str | bytes, name: str = "train.py") -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _in_shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )


def _render(folder: Path, content: str | bytes, *options: str) -> Ran:
    _write(folder, content)
    return gradscope(folder, "render", "-o", "out.json", *options, "train.py")


def _refused(ran: Ran, sentence: str) -> None:
    """Nothing ran, nothing was written, one line was said."""
    assert (ran.code, ran.out) == (2, b"")
    (line,) = ran.err.splitlines()
    assert line == f"Error: {sentence}"


def test_a_missing_file(tmp_path: Path) -> None:
    _refused(gradscope(tmp_path, "render", "train.py"), "there is no file 'train.py'.")


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    sentence = "'code' is a folder; name a script in it, or a module with -m."
    _refused(gradscope(tmp_path, "render", "code"), sentence)


def test_a_missing_module(tmp_path: Path) -> None:
    sentence = "there is no module 'nosuch' that can be run."
    _refused(gradscope(tmp_path, "render", "-m", "nosuch"), sentence)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("out.gif", "the suffix '.gif' of 'out.gif' stands for no format"),
        ("out", "'out', no suffix, stands for no format"),
        ("code.svg", "is a folder, not a file to write."),
        ("missing/out.svg", "there is no folder"),
        ("/proc/out.svg", "cannot write '/proc/out.svg'"),
        ("", "the name of an output is empty"),
    ],
)
def test_an_output_that_cannot_be_is_found_before_the_run(
    tmp_path: Path, output: str, sentence: str
) -> None:
    (tmp_path / "code.svg").mkdir()
    _write(tmp_path, "print('ran')")
    ran = gradscope(tmp_path, "render", "-o", "fine.json", "-o", output, "train.py")
    assert (ran.code, ran.out) == (2, b"")
    (line,) = ran.err.splitlines()
    assert sentence in line
    assert ran.files == {"train.py"}


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("mkdir gone && cd gone && rmdir ../gone && set -- ", "the current folder is gone; change"),
        ("exec >&- && set -- --format json", "--format needs both stdout and stderr, and one"),
    ],
)
def test_a_shell_that_lacks_something(tmp_path: Path, before: str, sentence: str) -> None:
    _write(tmp_path, "print('ran')")
    command = f'{before} && {sys.executable} -m gradscope render "$@" "{tmp_path}/train.py"'
    done = _in_shell(tmp_path, command)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"Error: {sentence}")


def test_an_output_that_fails_afterwards_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    _write(tmp_path, STEP + "import os\nos.rmdir('gone')\n")
    outputs = ("-o", "gone/a.svg", "-o", "b.json", "-o", "gone/c.md")
    ran = gradscope(tmp_path, "render", *outputs, "train.py")
    assert ran.code == 1
    assert "No problem found" in ran.err
    said = [line for line in ran.err.splitlines() if line.startswith("gradscope: ")]
    assert said == [
        "gradscope: could not write gone/a.svg: No such file or directory.",
        "gradscope: could not write gone/c.md: No such file or directory.",
        "gradscope: wrote b.json.",
    ]
    assert ran.json("b.json")["steps"][0]["loss"] == 6


def test_the_programs_own_exit_code_comes_first(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    _write(tmp_path, STEP + "import os\nos.rmdir('gone')\nexit(3)\n")
    ran = gradscope(tmp_path, "render", "-o", "gone/a.json", "train.py")
    assert ran.code == 3


@pytest.mark.parametrize(
    "content", ["x = = 1\n", "if x\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"\xff\xfe\x00", "x = '\0'"]
)
def test_what_is_no_python(tmp_path: Path, content: str | bytes) -> None:
    ran = _render(tmp_path, content)
    assert (ran.code, ran.out) == (1, b"")
    assert "SyntaxError: " in ran.err
    last = ran.err.splitlines()[-1]
    assert last.startswith("gradscope: train.py is not valid Python")
    assert last.endswith("so nothing ran and nothing was recorded.")
    assert "Traceback" not in ran.err
    assert ran.files == {"train.py"}


def test_an_exit_code_is_kept_and_so_is_the_record(tmp_path: Path) -> None:
    ran = _render(tmp_path, STEP + "exit(3)\n")
    assert ran.code == 3
    report = ran.json("out.json")
    assert report["script_error"] is None
    assert report["steps"][0]["loss"] == 6
    assert any("exit code 3" in note for note in report["notes"])


def test_an_exception_leads_the_report(tmp_path: Path) -> None:
    ran = _render(tmp_path, STEP + "def f():\n    raise ValueError('bad é')\nf()\n")
    assert ran.code == 1
    report = ran.json("out.json")
    error = report["script_error"]
    assert (error["type"], error["message"], error["line"]) == ("ValueError", "bad é", 6)
    assert report["steps"][0]["loss"] == 6
    trace, _, rest = ran.err.partition("ValueError: bad é\n")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "gradscope" not in trace.replace(str(tmp_path), "")
    assert rest.startswith("train.py:6")
    assert "ValueError" in rest.splitlines()[0]


def test_an_error_inside_autograd_shows_no_frame_of_ours(tmp_path: Path) -> None:
    ran = _render(tmp_path, STEP + "y.backward()\n", "-q")
    assert ran.code == 1
    assert "RuntimeError: Trying to backward through the graph a second time" in ran.err
    assert "/gradscope/" not in ran.err
    assert ran.err.count("in backward\n") == 2  # Tensor.backward and autograd.backward
    assert [bool(step["error"]) for step in ran.json("out.json")["steps"]] == [False, True]


TORCH_ERRORS = {
    "in_a_torch_function": "torch.stack([torch.ones(3), torch.ones(2)])\n",
    "in_checkpoint": """
        from torch.utils.checkpoint import checkpoint
        def f(t):
            return t.sin() * undefined_name
        checkpoint(f, W, use_reentrant=False)
    """,
    "modified_in_place": "z = W.exp()\nz.mul_(2)\nz.sum().backward()\n",
    "chained_through_an_optimizer": """
        optimizer = torch.optim.Adam([W])
        def closure():
            raise KeyError("closure")
        try:
            optimizer.step(closure)
        except KeyError as error:
            raise RuntimeError("again") from error
    """,
}


@pytest.mark.parametrize("name", TORCH_ERRORS)
def test_an_error_under_torch_is_told_as_python_tells_it(name: str, tmp_path: Path) -> None:
    _write(tmp_path, STEP + textwrap.dedent(TORCH_ERRORS[name]))
    alone = run(tmp_path, "train.py")
    ran = gradscope(tmp_path, "render", "-q", "-o", "out.json", "train.py")
    assert (ran.code, ran.err) == (alone.code, alone.err)
    assert ran.json("out.json")["script_error"]["file"].endswith("train.py")


def test_binary_output_passes_untouched(tmp_path: Path) -> None:
    ran = _render(tmp_path, "import sys\nsys.stdout.buffer.write(bytes(range(256)))\n" + STEP)
    assert ran.out == bytes(range(256))
    assert ran.json("out.json")["steps"][0]["loss"] == 6


def test_a_main_guard_runs(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in STEP.splitlines())
    ran = _render(tmp_path, f"def main():\n{body}\nif __name__ == '__main__':\n    main()\n")
    assert ran.json("out.json")["steps"][0]["loss"] == 6


def test_a_script_without_backward_is_told_so(tmp_path: Path) -> None:
    source = "import torch\nW = torch.ones(2, requires_grad=True)\ny = (W * 2).sum()\n"
    _write(tmp_path, source)
    ran = gradscope(tmp_path, "render", "train.py")
    assert ran.code == 0
    assert sum("ran no backward" in line for line in ran.err.splitlines()) == 1
    assert ran.files == {"train.py", "train.gradscope.html", "train.gradscope.svg"}


def test_a_script_without_torch_is_told_so(tmp_path: Path) -> None:
    _write(tmp_path, "print('no torch here')")
    (tmp_path / "train.gradscope.svg").write_text("old")
    ran = gradscope(tmp_path, "render", "train.py")
    assert (ran.code, ran.out) == (0, b"no torch here\n")
    assert "never imported torch" in ran.err
    assert (
        "gradscope: train.gradscope.svg was not written: no graph was recorded, so there is "
        "nothing to draw; the file there is from an earlier run." in ran.err.splitlines()
    )


HOSTILE = {
    "quotes": 'd["it\'s \\"quoted\\""]',
    "markup": "d['<script>alert(1)</script>']",
    "newline": "d['two\\nlines | and a pipe']",
    "escape": "d['\\x1b[31mred\\x07']",
    "emoji": "d['🔥 é 漢字']",
    "backslash": "d['\\\\N \\\\G back\\\\']",
    "surrogate": "d['\\ud800']",
    "long": "d['x' * 5000]",
}


def test_hostile_names_break_no_format(tmp_path: Path) -> None:
    lines = ["import torch", "d = {}"]
    lines += [f"{name} = torch.tensor(1.0, requires_grad=True)" for name in HOSTILE.values()]
    lines += ["y = sum(d.values())", "y.backward()"]
    _write(tmp_path, "# -*- coding: utf-8 -*-\n" + "\n".join(lines), "it's <b>\n🔥.py")
    names = [f"out.{suffix}" for suffix in ("svg", "png", "pdf", "dot", "md", "txt", "json")]
    options = [part for name in names for part in ("-o", name)]
    ran = gradscope(tmp_path, "render", *options, "it's <b>\n🔥.py")
    assert ran.code == 0, ran.err
    assert ran.files == {"it's <b>\n🔥.py", *names}
    assert "<script>" not in (tmp_path / "out.svg").read_text("utf-8")
    for name in ("out.txt", "out.md", "out.svg"):
        assert "\x1b" not in (tmp_path / name).read_text("utf-8")
    assert "\x1b" not in ran.err
    assert len(ran.json("out.json")["parameters"]) == len(HOSTILE)


def _stopped(folder: Path, content: str, *signals: signal.Signals) -> Ran:
    _write(folder, content)
    out, err = folder / "out", folder / "err"
    command = [sys.executable, "-m", "gradscope", "render", "-q", "-o", "out.json", "train.py"]
    with out.open("wb") as to_out, err.open("wb") as to_err:
        child = subprocess.Popen(
            command, cwd=folder, stdout=to_out, stderr=to_err, env={"PYTHONPATH": PYTHONPATH}
        )
    end = time.monotonic() + LIMIT_S
    while not out.read_bytes():
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    for each in signals:
        time.sleep(0.3)
        child.send_signal(each)
    child.wait(LIMIT_S)
    return Ran(child.returncode, out.read_bytes(), err.read_text("utf-8"), folder)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_run_that_is_stopped_keeps_its_record(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    source = STEP + "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    ran = _stopped(tmp_path, source, sent)
    assert ran.code == code
    assert ran.json("out.json")["steps"][0]["loss"] == 6


def test_ctrl_c_before_the_run_is_quiet(tmp_path: Path) -> None:
    """While the command line was imported, it showed gradscope's traceback."""
    _write(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", "click.py")
    ran = _render(tmp_path, "print('ran')")
    assert (ran.code, ran.out, ran.err) == (130, b"", "")


def test_ctrl_c_outside_the_program_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(job: RenderJob) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("gradscope.cli.run_job", pressed)
    assert main(["render", "train.py"]) == 130


def test_a_run_without_docstrings(tmp_path: Path) -> None:
    """The rules' docstrings are part of them; ``python -OO`` drops all docstrings."""
    _write(tmp_path, "print('ran')")
    ran = run(tmp_path, "-OO", "-m", "gradscope", "render", "-o", "out.json", "train.py")
    assert (ran.code, ran.out) == (0, b"ran\n")
    explained = run(tmp_path, "-OO", "-m", "gradscope", "explain", "GS401")
    assert explained.out == gradscope(tmp_path, "explain", "GS401").out


def test_nobody_reading_is_no_traceback(tmp_path: Path) -> None:
    _write(tmp_path, STEP)
    command = f"{sys.executable} -m gradscope render --format json train.py | true"
    done = _in_shell(tmp_path, command)
    assert "Traceback" not in done.stderr
