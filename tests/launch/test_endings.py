"""However a program ends, its trace is told once, and only by the process that was launched."""

from __future__ import annotations

import signal
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

from tests.command import LIMIT_S
from tests.launch.running import Ran, by_launcher, environment, launcher, read_facts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "program"
    place.mkdir()
    return place


def _write(folder: Path, source: str, name: str = "program.py") -> None:
    (folder / name).write_text(textwrap.dedent(source).lstrip())


def _run(folder: Path, source: str) -> Ran:
    _write(folder, source)
    return by_launcher(folder, "program.py")


def _signalled(folder: Path, source: str, *signals: signal.Signals) -> Ran:
    """Run, wait until the program says it is ready, send the signals."""
    _write(folder, source)
    facts = folder.parent / "facts"
    out, err = folder.parent / "out", folder.parent / "err"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        child = subprocess.Popen(
            launcher(facts, "program.py"),
            cwd=folder,
            stdout=to_out,
            stderr=to_err,
            env=environment(),
        )
    _wait_for(out, b"ready\n")
    time.sleep(0.3)  # let it reach the line it is to be stopped at
    for each in signals:
        child.send_signal(each)
        time.sleep(0.2)
    child.wait(LIMIT_S)
    return Ran(child.returncode, out.read_bytes(), err.read_bytes(), read_facts(facts))


def _wait_for(file: Path, start: bytes) -> None:
    end = time.monotonic() + LIMIT_S
    while not file.read_bytes().startswith(start):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_clean_end_has_no_error(folder: Path) -> None:
    (fact,) = _run(folder, "print(1)").facts
    assert fact["error"] is None
    assert fact["target"] == "program.py"


def test_an_exception_is_told_with_the_users_line(folder: Path) -> None:
    (fact,) = _run(folder, "def f(x):\n    return x / 0\n\nf(1)\n").facts
    kind, message, trace = fact["error"]
    assert (kind, message) == ("ZeroDivisionError", "division by zero")
    assert (fact["where"], fact["text"]) == ("program.py:2", "return x / 0")
    assert "launch.py" not in trace
    assert trace.startswith("Traceback (most recent call last):\n")


def test_the_blame_stays_in_the_users_code(folder: Path) -> None:
    (fact,) = _run(folder, "import json\n\njson.loads('{')\n").facts
    assert fact["where"] == "program.py:3"


def test_a_syntax_error_in_an_import_names_the_imported_file(folder: Path) -> None:
    _write(folder, "x = (\n", "other.py")
    (fact,) = _run(folder, "import other\n").facts
    assert fact["error"][0] == "SyntaxError"
    assert fact["where"] == "other.py:1"


@pytest.mark.parametrize(
    ("source", "code", "noted"),
    [("exit(3)", 3, True), ("exit(0)", 0, False), ("raise SystemExit('no')", 1, True)],
)
def test_an_exit_is_no_error_but_noted(folder: Path, source: str, code: int, noted: bool) -> None:
    ran = _run(folder, source)
    assert ran.code == code
    assert ran.facts[0]["error"] is None
    assert any("exit code" in note for note in ran.facts[0]["notes"]) is noted


def test_a_program_without_torch_is_told_so(folder: Path) -> None:
    (fact,) = _run(folder, "import sys\nassert 'torch' not in sys.modules\n").facts
    assert any("never imported torch" in note for note in fact["notes"])
    assert fact["steps"] == 0


@pytest.mark.parametrize("source", ["x = = 1", "x = '\0'"])
def test_a_file_that_does_not_compile_is_no_run(folder: Path, source: str) -> None:
    ran = _run(folder, source)
    assert (ran.code, ran.facts) == (1, [])
    assert ran.err.endswith(
        b"gradscope: program.py is not valid Python (line 1), so nothing ran and nothing was "
        b"recorded.\n"
    )


def test_ctrl_c_still_tells(folder: Path) -> None:
    ran = _signalled(
        folder, "import time\nprint('ready', flush=True)\ntime.sleep(60)", signal.SIGINT
    )
    assert ran.code == 130
    assert ran.facts[0]["error"][0] == "KeyboardInterrupt"
    assert ran.err.endswith(b"    time.sleep(60)\nKeyboardInterrupt\n")
    assert b"gradscope" not in ran.err


def test_ctrl_c_twice_in_a_row_is_one(folder: Path) -> None:
    """The second one fell into the end of the run, and the whole record was lost."""
    ran = _run(
        folder,
        """
        import os, signal, sys
        def pressed_again(*shown):
            os.kill(os.getpid(), signal.SIGINT)
        sys.excepthook = pressed_again
        os.kill(os.getpid(), signal.SIGINT)
        """,
    )
    assert (ran.code, ran.err) == (130, b"")
    assert ran.facts[0]["error"][0] == "KeyboardInterrupt"


def test_ctrl_c_after_an_exception_still_tells(folder: Path) -> None:
    ran = _run(
        folder,
        """
        import os, signal, sys
        sys.excepthook = lambda *shown: os.kill(os.getpid(), signal.SIGINT)
        1 / 0
        """,
    )
    assert (ran.code, ran.err) == (130, b"")
    assert ran.facts[0]["error"][0] == "ZeroDivisionError"


def test_an_excepthook_that_exits_still_tells(folder: Path) -> None:
    ran = _run(folder, "import sys\nsys.excepthook = lambda *shown: sys.exit(9)\n1 / 0\n")
    assert (ran.code, ran.err) == (9, b"")
    assert ran.facts[0]["error"][0] == "ZeroDivisionError"


def test_sigterm_while_the_end_is_told_waits_for_it(folder: Path) -> None:
    ran = _run(
        folder,
        """
        import os, signal, sys
        class Last(Exception):
            def __str__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                return "last words"
        sys.excepthook = lambda *shown: None
        raise Last
        """,
    )
    assert ran.code == -signal.SIGTERM
    assert ran.facts[0]["error"][:2] == ["Last", "last words"]


def test_sigterm_twice_in_a_row_is_one(folder: Path) -> None:
    """``timeout`` and others send it to the process and to its group."""
    ran = _run(
        folder,
        """
        import os, signal, sys
        class Out:
            def flush(self):
                os.kill(os.getpid(), signal.SIGTERM)
        sys.stdout = Out()
        os.kill(os.getpid(), signal.SIGTERM)
        """,
    )
    assert ran.code == -signal.SIGTERM
    assert len(ran.facts) == 1


def test_sigterm_still_tells_and_ends_as_always(folder: Path) -> None:
    ran = _signalled(
        folder,
        """
        import time
        print('ready', flush=True)
        try:
            print('unflushed')
            time.sleep(60)
        finally:
            print('never seen')
        """,
        signal.SIGTERM,
    )
    assert ran.code == -signal.SIGTERM
    assert ran.out == b"ready\nunflushed\n"
    assert len(ran.facts) == 1
    assert any("SIGTERM" in note for note in ran.facts[0]["notes"])


def test_a_programs_own_sigterm_handler_wins(folder: Path) -> None:
    ran = _signalled(
        folder,
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))
        print('ready', flush=True)
        time.sleep(60)
        """,
        signal.SIGTERM,
    )
    assert ran.code == 9
    assert len(ran.facts) == 1


def test_ctrl_c_while_waiting_for_threads_still_tells(folder: Path) -> None:
    ran = _signalled(
        folder,
        """
        import threading, os
        def work(gate):
            print('ready', flush=True)
            gate.wait(30)
            os._exit(5)
        gate = threading.Event()
        worker = threading.Thread(target=work, args=(gate,))
        worker.start()
        import atexit
        atexit.register(os._exit, 130)
        """,
        signal.SIGINT,
    )
    assert ran.code == 130
    assert len(ran.facts) == 1


def test_a_fork_that_runs_to_the_end_tells_nothing(folder: Path) -> None:
    ran = _run(
        folder,
        """
        import os, sys
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            print("child", os.waitstatus_to_exitcode(status))
        else:
            sys.exit(6)
        """,
    )
    assert ran.out == b"child 6\n"
    assert len(ran.facts) == 1


def test_the_trace_is_told_after_the_threads_and_while_the_names_still_live(folder: Path) -> None:
    ran = _run(
        folder,
        """
        import threading, time
        early = 1
        def work():
            time.sleep(0.3)
            global late
            late = 2
        threading.Thread(target=work).start()
        """,
    )
    assert {"early", "late"} <= set(ran.facts[0]["names"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("missing.py",), "there is no file 'missing.py'."),
        ((".",), "'.' is a folder; name a script in it, or a module with -m."),
        (("notes.ipynb",), "'notes.ipynb' is a notebook; say %load_ext gradscope in it"),
        (("-m", "nosuch"), "there is no module 'nosuch' that can be run."),
        (("-m", "os.nosuch"), "there is no module 'os.nosuch' that can be run."),
        (("-m", "program.py"), "there is no module 'program.py' that can be run; write 'program'"),
        (("-m", "json"), "there is no module 'json.__main__' that can be run."),
    ],
)
def test_what_is_not_there(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    _write(folder, "print(1)")
    _write(folder, '{"cells": []}', "notes.ipynb")
    ran = by_launcher(folder, *arguments)
    assert sentence in ran.err.decode()
    assert b"UsageError" in ran.err
    assert ran.facts == []
