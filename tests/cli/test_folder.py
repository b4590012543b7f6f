"""``-o report/``: everything about a run under stable names, and nothing replaced in silence."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import gradscope as package
from gradscope.errors import UsageError
from gradscope.saving import FOLDER_FILES, Folder, check_output, target_of
from tests.command import gradscope

TRAIN = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(8, 3)
for step in range(4):
    optimizer.zero_grad()
    loss = (net(x) - 1).square().mean()
    loss.backward()
    optimizer.step()
"""
PLOTS = {"plots/depth.svg", "plots/heat.svg", "plots/steps.svg", "plots/ratio.svg"}


@pytest.fixture
def train(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_gets_all_of_it_under_stable_names(train: Path) -> None:
    ran = gradscope(train, "render", "-o", "report/", "train.py")
    report = train / "report"
    assert ran.code == 0
    assert files_in(report) == {*FOLDER_FILES, *PLOTS}
    assert ran.err.splitlines()[-1] == "gradscope: wrote 11 files in report/."
    assert json.loads((report / "report.json").read_text("utf-8"))["schema"] == "gradscope/1"
    assert (report / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert b"digraph" in (report / "graph.dot").read_bytes()
    assert "No problem found" in (report / "report.txt").read_text("utf-8")
    links = re.findall(r"\]\((.*?)\)", (report / "report.md").read_text("utf-8"))
    assert set(links) == {"graph.svg", *PLOTS}
    for name in PLOTS:
        assert (report / name).read_bytes().startswith(b"<svg")


def test_an_existing_folder_needs_no_slash_and_says_what_it_replaced(train: Path) -> None:
    (train / "report" / "plots").mkdir(parents=True)
    (train / "report" / "index.html").write_text("old")
    (train / "report" / "plots" / "heat.svg").write_text("old")
    (train / "report" / "mine.txt").write_text("mine")
    ran = gradscope(train, "render", "-o", "report", "train.py")
    last = ran.err.splitlines()[-1]
    assert last == "gradscope: wrote 11 files in report/ (replaced index.html, plots/heat.svg)."
    assert (train / "report" / "mine.txt").read_text() == "mine"
    assert (train / "report" / "index.html").read_text("utf-8") != "old"


def test_a_run_without_a_graph_still_fills_the_folder(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\nprint(torch.ones(2).sum())\n")
    ran = gradscope(tmp_path, "render", "-o", "report/", "train.py")
    assert ran.code == 0
    texts = {name for name in FOLDER_FILES if not name.startswith("graph.")}
    assert files_in(tmp_path / "report") == texts
    assert "graph.svg was not written: no graph was recorded" in ran.err


def test_the_trace_renders_into_a_folder_too(tmp_path: Path) -> None:
    import torch

    with package.trace() as traced:
        torch.ones(3, requires_grad=True).square().exp().sum().backward()
    traced.render(f"{tmp_path / 'report'}/")
    assert files_in(tmp_path / "report") == {*FOLDER_FILES, "plots/depth.svg"}


def test_what_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "named.svg").mkdir()
    assert target_of("new/") == Folder(Path("new"))
    assert target_of("there") == Folder(Path("there"))
    assert target_of("new") == Path("new")
    assert target_of("named.svg") == Path("named.svg")
    assert target_of("named.svg/") == Folder(Path("named.svg"))


def test_a_folder_that_cannot_be_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        check_output(Folder(tmp_path / "file"))
    with pytest.raises(UsageError, match="cannot make the folder"):
        check_output(Folder(tmp_path / "missing" / "report"))
    check_output(Folder(tmp_path / "report"))
    assert os.listdir(tmp_path) == ["file"]


def test_a_markdown_for_a_pipe_carries_its_graph(train: Path) -> None:
    os.mkfifo(train / "pipe.md")
    reader = os.open(train / "pipe.md", os.O_RDONLY | os.O_NONBLOCK)
    try:
        ran = gradscope(train, "render", "-o", "pipe.md", "train.py")
        assert ran.code == 0
        assert b"](data:image/svg+xml;base64," in os.read(reader, 65_536)
    finally:
        os.close(reader)
    assert files_in(train) == {"train.py"}
