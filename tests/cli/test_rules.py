"""``gradscope rules``, ``gradscope explain`` and the pages in docs/rules."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from gradscope import cli
from gradscope.diagnose.registry import registered_rules, rule_texts
from gradscope.model.rule import RuleText
from gradscope.render.rule_doc import Part, parts_of
from gradscope.render.rule_page import markdown_page, text_page

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = REPOSITORY / "docs" / "rules"
DOC = """It piles up.

What: An update uses ``grad``
twice.

Example::

    loss.backward()

    optimizer.step()

Instead::

    optimizer.zero_grad()
"""
RULE = RuleText("GS999", "some-rule", "It piles up.", DOC)


def test_a_docstring_falls_into_its_parts() -> None:
    assert list(parts_of(DOC)) == [
        Part("", "It piles up."),
        Part("What", "An update uses ``grad`` twice."),
        Part("Example", "loss.backward()\n\noptimizer.step()", is_code=True),
        Part("Instead", "optimizer.zero_grad()", is_code=True),
    ]


@pytest.mark.parametrize("rule", rule_texts(), ids=lambda rule: rule.code)
def test_every_rule_has_its_parts(rule: RuleText) -> None:
    titles = [part.title for part in parts_of(rule.doc)]
    assert titles[:3] == ["", "What", "Why it hurts"]
    assert {"Example", "Instead"} <= set(titles)
    told = " ".join(f"{part.title} {part.text}" for part in parts_of(rule.doc))
    assert len(told.split()) >= 0.97 * len(rule.doc.replace("::", "").split())


def test_a_page_in_markdown_and_text() -> None:
    page = markdown_page(RULE)
    assert page.startswith("# GS999 some-rule\n\nIt piles up.\n\n## What\n\nAn update uses `grad`")
    assert "```python\nloss.backward()\n\noptimizer.step()\n```" in page
    plain = text_page(RULE, color=False, width=60)
    assert "\x1b" not in plain
    assert "\n  loss.backward()\n" in plain
    assert "\x1b[" in text_page(RULE, color=True, width=60)
    assert max(map(len, plain.splitlines())) <= 60


def test_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(registered_rules())
    assert any(line.startswith("GS401  accumulated-gradient  ") for line in lines)


def test_rules_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [rule["code"] for rule in listed] == [rule.code for rule in registered_rules()]
    assert set(listed[0]) == {"code", "name", "summary", "doc"}


@pytest.mark.parametrize("name", ["GS401", "gs401", "accumulated-gradient"])
def test_a_rule_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("GS401 accumulated-gradient\n")
    assert "\nInstead\n  optimizer.zero_grad()\n" in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acumulated-gradient", "did you mean GS401?"),
        ("zzz", "`gradscope rules` lists them."),
    ],
)
def test_an_unknown_rule_is_exit_2(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", name]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"Error: no rule has the code {name!r}; {said}\n"


def test_explaining_needs_no_torch() -> None:
    code = (
        "import sys; from gradscope.cli import main; main(['explain', 'GS101']);"
        " main(['rules']); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_pages_are_those_of_the_docstrings() -> None:
    make = runpy.run_path(str(REPOSITORY / "docs" / "make_rules.py"))
    if os.environ.get("GRADSCOPE_UPDATE_GOLDENS"):
        make["write"]()
    found = {path.name: path.read_text("utf-8") for path in PAGES.glob("*.md")}
    assert found == make["pages"](), "run python docs/make_rules.py"
