"""Whoever looks a rule up finds it: every rule is in README and CHANGELOG, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradscope.diagnose.registry import rule_texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_every_rule_is_told(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    codes = {rule.code for rule in rule_texts()}
    assert set(re.findall(r"GS[1-9]\d\d", text)) == codes


def test_the_table_has_every_rule_by_its_name() -> None:
    table = re.findall(r"^\| (GS\d+) \| (\S+?),? ", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert table == [(rule.code, rule.name) for rule in rule_texts()]
