"""A program's own ``sys.excepthook`` that fails or exits: stderr and exit code of plain Python.

A hook that raised was passed over in silence, without its own traceback and Python's sentences.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.launch.running import by_launcher, by_python, write

HOOKS = {
    "raises": """
        import sys
        def hook(kind, error, trace):
            print("hooked", file=sys.stderr)
            try:
                {}[kind]
            except KeyError as missing:
                raise RuntimeError("in the hook") from missing
        sys.excepthook = hook
        def work():
            raise ValueError("x")
        work()
    """,
    "raises_what_it_is_given": """
        import sys
        def hook(kind, error, trace):
            raise error
        sys.excepthook = hook
        1 / 0
    """,
    "raises_no_exception": """
        import sys
        class Mine(BaseException):
            pass
        def hook(kind, error, trace):
            raise Mine
        sys.excepthook = hook
        1 / 0
    """,
    "takes_nothing": "import sys; sys.excepthook = lambda: None; 1 / 0",
    "is_nothing": "import sys; sys.excepthook = None; 1 / 0",
    "is_missing": "import sys; del sys.excepthook; 1 / 0",
    "exits_with_words": """
        import sys
        sys.excepthook = lambda *a: sys.exit("words")
        raise ValueError("x")
    """,
    "exits_well": """
        import sys
        sys.excepthook = lambda *a: sys.exit()
        raise ValueError("x")
    """,
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_treated_as_by_python(hook: str, tmp_path: Path) -> None:
    write(tmp_path, program=textwrap.dedent(HOOKS[hook]).lstrip())
    wanted, got = by_python(tmp_path, "program.py"), by_launcher(tmp_path, "program.py")
    assert (got.code, got.out, got.err) == (wanted.code, wanted.out, wanted.err)
    assert len(got.facts) == 1
