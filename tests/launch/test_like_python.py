"""A program cannot tell that it was launched: same output, same traceback, same exit code."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.launch.running import by_launcher, by_python

PROGRAMS = {
    "facts_of_main": """
        import sys
        names = sorted(n for n in globals() if n != "sys")
        print(names, __name__, __file__, __spec__, __cached__, __package__, __doc__)
        print(type(__loader__).__name__, __loader__.name, __builtins__, __annotations__)
        print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
        x: int = 3
        print(__annotations__)
    """,
    "docstring": '"""The words."""\nprint(__doc__)\n',
    "guard": """
        def main():
            print("ran")
        if __name__ == "__main__":
            main()
    """,
    "stdin": """
        import sys
        print(sys.stdin.read()[::-1], input if False else "")
    """,
    "pickles_its_class": """
        import pickle, dataclasses
        @dataclasses.dataclass
        class Point:
            x: "int" = 1
        print(pickle.loads(pickle.dumps(Point(3))), Point.__module__)
    """,
    "reads_its_source": """
        import inspect
        class A:
            def f(self):
                return 1  # here
        print(inspect.getsource(A.f), inspect.getsource(A), inspect.getfile(A))
    """,
    "spawns": """
        import multiprocessing
        def work(x):
            return x * x, __name__
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(work, [1, 2, 3]))
    """,
    "forks": """
        import multiprocessing
        def work(x):
            return x * x, __name__
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(work, [1, 2, 3]))
    """,
    "terminates_a_child": """
        import multiprocessing, time
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join()
        print(child.exitcode)
    """,
    "exit_3": "print('before')\nexit(3)\n",
    "exit_message": "import sys\nprint('out')\nsys.exit('a message')\n",
    "exit_none": "raise SystemExit\n",
    "exit_true": "raise SystemExit(True)\n",
    "exit_tuple": "raise SystemExit((1, 2))\n",
    "exit_300": "import sys\nsys.exit(300)\n",
    "os_exit": "import os\nos._exit(7)\n",
    "raises": """
        def inner(x):
            return x / 0
        def outer():
            inner(
                1
            )
        outer()
    """,
    "raises_chained": """
        def convert(text):
            try:
                return int(text)
            except ValueError as error:
                raise KeyError("bad é") from error
        try:
            convert("x")
        finally:
            {}["missing"]
    """,
    "raises_group": """
        errors = []
        for n in range(2):
            try:
                [][n]
            except IndexError as error:
                errors.append(error)
        raise ExceptionGroup("both", errors)
    """,
    "raises_in_import": "import broken_neighbour\n",
    "recursion": "def f():\n    f()\ntry:\n    f()\nexcept RecursionError:\n    print('deep')\n",
    "undefined_name": "lenght = 3\nprint(length)\n",
    "raises_unprintable": """
        class Odd(Exception):
            def __str__(self):
                raise ValueError("no")
        raise Odd
    """,
    "own_excepthook": """
        import sys
        def hook(kind, error, trace):
            print("hooked", kind.__name__, trace.tb_frame.f_code.co_name, trace.tb_next)
        sys.excepthook = hook
        raise ValueError("x")
    """,
    "failing_excepthook": """
        import sys
        sys.excepthook = lambda *a: [print("hook"), 1 / 0]
        raise SystemExit(4)
    """,
    "excepthook_exits": """
        import sys
        sys.excepthook = lambda *a: sys.exit(9)
        raise ValueError("x")
    """,
    "exit_without_words": """
        class Wordless:
            def __str__(self):
                raise ValueError("none")
        raise SystemExit(Wordless())
    """,
    "stdout_that_raises": """
        import sys
        class Broken:
            def write(self, text):
                raise RuntimeError("no")
            def flush(self):
                raise RuntimeError("no")
            def __repr__(self):
                return "Broken()"
        sys.stdout = Broken()
    """,
    "interrupt_of_its_own": """
        class Interrupt(KeyboardInterrupt):
            pass
        raise Interrupt("x")
    """,
    "order_of_the_end": """
        import atexit, threading, time
        atexit.register(print, "first registered")
        atexit.register(print, "second registered")
        def work():
            time.sleep(0.3)
            print("thread done")
        threading.Thread(target=work).start()
        print("main done")
    """,
    "idle_executor": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        print(pool.submit(lambda: 5).result())
    """,
    "writes_both": """
        import sys
        for n in range(3):
            print("out", n)
            print("err", n, file=sys.stderr)
        sys.stdout.write("no newline")
    """,
    "writes_binary": """
        import sys, os
        sys.stdout.buffer.write(bytes(range(256)))
        sys.stdout.flush()
        os.write(1, b"\\xff\\x00")
    """,
    "closes_stdout": "import sys\nprint('x')\nsys.stdout.close()\n",
    "replaces_stdout": "import sys, io\nprint('x')\nsys.stdout = io.StringIO()\nprint('lost')\n",
    "warns": """
        import warnings
        warnings.warn("old", DeprecationWarning)
        warnings.warn("user")
        print(len(warnings.filters))
    """,
    "bad_escape": 'print("\\d")\n',
    "future": "from __future__ import annotations\nx: nope = 1\nprint(__annotations__)\n",
    "no_future": "try:\n    exec('x: nope = 1')\nexcept NameError:\n    print('evaluated')\n",
    "changes_folder": "import os\nos.makedirs('deep')\nos.chdir('deep')\nprint(os.getcwd())\n",
    "signals": """
        import signal
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """,
    "syntax_error": "x = 1\nif x\n    print(x)\n",
    "indentation_error": "def f():\nreturn 1\n",
    "unclosed": "print((1)\n",
}
BYTES = {
    "bom": b"\xef\xbb\xbfprint('bom \xc3\xa9')\n",
    "cookie": b"# -*- coding: latin-1 -*-\nprint('\xe9')\n",
    "carriage_returns": b"print(1)\r\nprint(2)\r\n",
    "no_newline": b"print(1)",
    "empty": b"",
    "undecodable": b"print('\xe9')\n",
    "undecodable_later": b"x = 1\n\n\nprint('\xc3\xa9', '\xe9')\n",
    "null_bytes": b"x = 1\ny = \x00\n",
}
_SAID_AFTERWARDS = b"so nothing ran and nothing was recorded.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "program"
    place.mkdir()
    (place / "broken_neighbour.py").write_text("import json\nraise OSError('neighbour')\n")
    return place


def _without_our_sentence(err: bytes) -> bytes:
    if not err.endswith(_SAID_AFTERWARDS):
        return err
    return b"".join(err.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize("name", [*PROGRAMS, *BYTES])
def test_same_output_traceback_and_exit_code(name: str, folder: Path) -> None:
    content = BYTES.get(name) or textwrap.dedent(PROGRAMS.get(name, "")).lstrip().encode()
    (folder / "program.py").write_bytes(content)
    arguments = ("program.py", "--flag", "a b", "-o", "x")
    wanted = by_python(folder, *arguments, stdin=b"typed")
    (folder / "deep").rmdir() if (folder / "deep").exists() else None
    got = by_launcher(folder, *arguments, stdin=b"typed")
    assert got.out == wanted.out
    assert _without_our_sentence(got.err) == wanted.err
    assert got.code == wanted.code


def test_a_link_runs_with_the_folder_it_leads_to(folder: Path, tmp_path: Path) -> None:
    (folder / "real.py").write_text("import sys\nprint(sys.path[0], __file__, sys.argv)\n")
    (tmp_path / "link.py").symlink_to(folder / "real.py")
    assert by_launcher(tmp_path, "link.py").out == by_python(tmp_path, "link.py").out


def test_modules_beside_the_script_are_found(folder: Path) -> None:
    (folder / "helper.py").write_text("print('helped', __name__)\n")
    (folder / "program.py").write_text("import helper\n")
    above = folder.parent
    assert by_launcher(above, "program/program.py").out == b"helped helper\n"


@pytest.mark.parametrize("module", ["pack", "pack.inner", "plain"])
def test_a_module_runs_as_with_dash_m(module: str, folder: Path) -> None:
    show = (
        "import sys\nfrom pathlib import Path\n"
        "print(__name__, __file__, __package__, __spec__.name, __cached__)\n"
        "print(sys.argv, sys.path[0], sys.modules['__main__'].__dict__ is globals())\n"
    )
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("import sys\nprint('init', sys.argv[0])\n")
    (folder / "pack" / "__main__.py").write_text(show + "from . import inner\n")
    (folder / "pack" / "inner.py").write_text(show)
    (folder / "plain.py").write_text(show)
    wanted = by_python(folder, "-m", module, "--lr", "1")
    got = by_launcher(folder, "-m", module, "--lr", "1")
    assert (got.code, got.out, got.err) == (wanted.code, wanted.out, wanted.err)
    assert got.facts[0]["target"] == f"-m {module}"
    assert got.facts[0]["argv"] == ["--lr", "1"]


def test_a_spawned_child_of_a_module_finds_its_functions(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "train.py").write_text(
        textwrap.dedent(PROGRAMS["spawns"]).replace("x * x", "x + 10")
    )
    got = by_launcher(folder, "-m", "pack.train")
    assert got.out == by_python(folder, "-m", "pack.train").out
    assert (got.code, len(got.facts)) == (0, 1)
