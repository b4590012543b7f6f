"""A warning of a launched program is that of plain Python, whatever becomes of its file.

The line was sought with the help of the module's loader, which raised into the run where the file
had changed since, and a warning above the top of the stack named a line of the launcher.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.launch.running import Ran, by_launcher, by_python, write

LEVELS = """
    import pickle
    import sys
    import warnings
    import torch

    def warn(level):
        warnings.warn(f"level {level}", stacklevel=level)

    warnings.simplefilter("always")
    for level in (-1, 0, 1, 2, 3, 4, 99):
        warn(level)
    warnings.warn("top", stacklevel=2)
    warnings.simplefilter("default")
    for _ in range(3):
        warn(3)
    print(len(sys.__warningregistry__) - 1)
    same = pickle.loads(pickle.dumps(warnings.warn)) is warnings.warn
    print(same, callable(pickle.loads(pickle.dumps(print))))
"""
CHANGED = """
    import os
    import warnings
    import torch
    from torch.nn import functional as F
    {change}
    warnings.warn("changed", stacklevel=1)
    F.mse_loss(torch.ones(2, 1), torch.ones(2))
    (torch.ones(1, requires_grad=True) * 2).grad
    print("end")
"""
CHANGES = {
    "shortened": "with open(__file__, 'w') as file: file.write('import torch')",
    "deleted": "os.remove(__file__)",
    "replaced": "with open(__file__, 'wb') as file: file.write(b'\\x80\\n' * 20)",
}


def _plain(source: str) -> str:
    return textwrap.dedent(source).lstrip()


def _warned(ran: Ran) -> list[str]:
    """What was warned of, without the text of the line, which gradscope may still know."""
    return [line for line in ran.err.decode().splitlines() if not line.startswith("  ")]


def test_levels_above_the_top_of_the_stack(tmp_path: Path) -> None:
    write(tmp_path, program=_plain(LEVELS))
    plain, launched = by_python(tmp_path, "program.py"), by_launcher(tmp_path, "program.py")
    assert plain.err.count(b"sys:1: UserWarning: level 3") == 2
    assert (launched.code, launched.out, launched.err) == (plain.code, plain.out, plain.err)


@pytest.mark.parametrize("change", CHANGES)
def test_a_script_that_changes_while_it_runs(change: str, tmp_path: Path) -> None:
    source = _plain(CHANGED).format(change=CHANGES[change])
    write(tmp_path, program=source)
    plain = by_python(tmp_path, "program.py")
    write(tmp_path, program=source)
    launched = by_launcher(tmp_path, "program.py")
    assert (launched.code, launched.out) == (plain.code, plain.out) == (0, b"end\n")
    assert _warned(launched) == _warned(plain)


def test_a_module_of_a_package_may_warn(tmp_path: Path) -> None:
    source = _plain(CHANGED).format(change="")
    write(tmp_path, pk__run=source)
    plain, launched = by_python(tmp_path, "-m", "pk.run"), by_launcher(tmp_path, "-m", "pk.run")
    assert plain.out == b"end\n"
    assert (launched.code, launched.out, launched.err) == (plain.code, plain.out, plain.err)


def test_a_program_from_stdin_may_warn(tmp_path: Path) -> None:
    source = _plain(CHANGED).format(change="").encode()
    plain = by_python(tmp_path, "/dev/stdin", stdin=source)
    launched = by_launcher(tmp_path, "/dev/stdin", stdin=source)
    assert (launched.code, launched.out) == (plain.code, plain.out) == (0, b"end\n")
    assert _warned(launched) == _warned(plain)
