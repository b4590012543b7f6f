"""Writes docs/rules from the rules' docstrings: ``python docs/make_rules.py``.

A test compares the folder with what this would write.
"""

from __future__ import annotations

from pathlib import Path

from gradscope.diagnose.registry import rule_texts
from gradscope.render.rule_page import markdown_index, markdown_page

FOLDER = Path(__file__).resolve().parent / "rules"


def pages() -> dict[str, str]:
    """File name to text of every page."""
    rules = rule_texts()
    return {"README.md": markdown_index(rules)} | {
        f"{rule.code}.md": markdown_page(rule) for rule in rules
    }


def write(folder: Path = FOLDER) -> None:
    """Makes the folder hold these pages and no others."""
    folder.mkdir(exist_ok=True)
    wanted = pages()
    for path in folder.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
