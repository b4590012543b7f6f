"""Defaults from pyproject.toml: the nearest table wins, and a mistake is one clear sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.config import find_defaults, parse_budget, parse_codes, parse_steps
from gradscope.errors import UsageError


def _project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_every_key_is_understood(tmp_path: Path) -> None:
    _project(
        tmp_path,
        """
        [tool.gradscope]
        level = "modules"
        every = 5
        steps = [0, 10, -1]
        budget = "10%"
        depth = 2
        max-nodes = 80
        select = ["GS1", "gs401"]
        ignore = "GS102"
        color = "never"
        quiet = true
        """,
    )
    assert find_defaults(tmp_path) == {
        "level": "modules",
        "every": 5,
        "steps": (0, 10, -1),
        "budget": 0.1,
        "depth": 2,
        "max_nodes": 80,
        "select": ("GS1", "GS401"),
        "ignore": ("GS102",),
        "color": "never",
        "quiet": True,
    }


def test_the_nearest_file_that_has_our_table_counts(tmp_path: Path) -> None:
    _project(tmp_path, "[tool.gradscope]\nevery = 2\n")
    _project(tmp_path / "a", "[tool.gradscope]\nevery = 3\n")
    inner = _project(tmp_path / "a" / "b", "[project]\nname = 'other'\n")
    assert find_defaults(inner) == {"every": 3}


def test_no_file_means_no_defaults(tmp_path: Path) -> None:
    assert find_defaults(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("evry = 3", "has no key 'evry'; did you mean 'every'?"),
        ("zzz = 3", "has no key 'zzz'; known are budget, color, depth"),
        ("every = 0", "every = 0: must be a whole number of 1 or more."),
        ("every = true", "every = True: must be a whole number of 1 or more."),
        ("level = 'op'", "level = 'op': must be one of params, modules, ops."),
        ("steps = 'x'", "steps = 'x': 'x' is not a list of step numbers such as 0,10,-1."),
        ("steps = 3", "steps = 3: must be a list or a text with commas."),
        ("budget = '300%'", "budget = '300%': '300%' is not a share of the run such as 10%."),
        ("quiet = 'yes'", "quiet = 'yes': must be true or false."),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    _project(tmp_path, f"[tool.gradscope]\n{line}\n")
    with pytest.raises(UsageError) as caught:
        find_defaults(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'pyproject.toml'}: [tool.gradscope] ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["[tool.gradscope", "tool.gradscope = 3"])
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    _project(tmp_path, text)
    with pytest.raises(UsageError, match=r"pyproject\.toml"):
        find_defaults(tmp_path)


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0.25", 0.25), (" 100 % ", 1.0)])
def test_shares(text: str, share: float) -> None:
    assert parse_budget(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "0%", "-5%", "101%", "2", "nan", "inf", "ten"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UsageError):
        parse_budget(text)


def test_lists() -> None:
    assert parse_steps("0,10,-1") == (0, 10, -1)
    assert parse_codes(" gs101,GS4,") == ("GS101", "GS4")
