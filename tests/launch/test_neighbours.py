"""Modules beside a script that bear the names of others: each side gets its own.

The scripts lie in a folder below: ``python -m gradscope`` itself imports from the one it runs in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import gradscope, run

SCRIPT = "code/train.py"
TRAIN = """
import torch
{imports}
w = torch.nn.Parameter(torch.tensor([2.0, 1.0]))
optimizer = torch.optim.SGD([w], lr=0.1)
for _ in range(12):
    optimizer.zero_grad()
    (w * w).sum().backward()
    optimizer.step()
"""


def _write(folder: Path, names: list[str], imports: str) -> None:
    (folder / "code").mkdir(exist_ok=True)
    for name in names:
        (folder / "code" / f"{name}.py").write_text(f"MINE = {name!r}\n")
    (folder / SCRIPT).write_text(TRAIN.format(imports=imports))


@pytest.mark.parametrize("name", ["statistics", "rich", "altair", "rlcompleter"])
def test_a_program_gets_the_module_beside_it(tmp_path: Path, name: str) -> None:
    """Loaded by gradscope before the program, after it, and never."""
    _write(tmp_path, [name], f"import {name}; print({name}.MINE)")
    ran = gradscope(tmp_path, "render", "-o", "page.html", "-o", "data.json", SCRIPT)
    assert ran.out == run(tmp_path, SCRIPT).out == f"{name}\n".encode()
    assert "mistake in gradscope" not in ran.err
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert len(ran.json("data.json")["steps"]) == 12


def test_a_package_beside_it_brings_its_own_modules(tmp_path: Path) -> None:
    rich = tmp_path / "code" / "rich"
    rich.mkdir(parents=True)
    (rich / "__init__.py").write_text("")
    (rich / "table.py").write_text("MINE = 'mine'\n")
    _write(tmp_path, [], "from rich.table import MINE; print(MINE)")
    assert gradscope(tmp_path, "render", SCRIPT).out == b"mine\n"


def test_a_folder_that_is_no_package_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "code" / "statistics").mkdir(parents=True)
    _write(tmp_path, [], "import statistics; print(statistics.median([1, 2, 3]))")
    assert gradscope(tmp_path, "render", SCRIPT).out == b"2\n"


def test_what_python_has_loaded_before_stays(tmp_path: Path) -> None:
    """A bare interpreter has loaded ``os`` and ``codecs``: files of that name are never found."""
    _write(tmp_path, ["os", "codecs"], "import os, codecs; print(os.sep, codecs.BOM_UTF8)")
    ran = gradscope(tmp_path, "render", SCRIPT)
    assert (ran.code, ran.out) == (0, run(tmp_path, SCRIPT).out)


def test_a_module_of_the_programs_that_breaks_torch_breaks_it_here_too(tmp_path: Path) -> None:
    _write(tmp_path, ["inspect"], "")
    plain = run(tmp_path, SCRIPT)
    ran = gradscope(tmp_path, "render", SCRIPT)
    assert plain.code == ran.code == 1
    assert plain.err.splitlines()[-1] in ran.err


def test_a_program_keeps_its_modules_while_it_ends(tmp_path: Path) -> None:
    _write(
        tmp_path,
        ["statistics"],
        "import atexit, sys\n"
        "import statistics\n"
        "def last(): import statistics; print(statistics.MINE, sys.path[0] == sys.argv[1])\n"
        "atexit.register(last)",
    )
    out = gradscope(tmp_path, "render", SCRIPT, str(tmp_path / "code")).out
    assert out == run(tmp_path, SCRIPT, str(tmp_path / "code")).out == b"statistics True\n"


def test_a_module_that_says_nothing_of_its_file_is_left_alone(tmp_path: Path) -> None:
    _write(tmp_path, [], "")
    with (tmp_path / SCRIPT).open("a") as file:
        file.write("import sys, types\nsys.modules['strange'] = m = types.ModuleType('strange')\n")
        file.write("m.__file__ = 3\n")
    ran = gradscope(tmp_path, "render", SCRIPT)
    assert ran.code == 0
    assert "No problem found" in ran.err
