"""``gradscope rules`` and ``gradscope explain``: what the rules say of themselves."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict

from gradscope.console import wants_color, write
from gradscope.diagnose.registry import find_rule, rule_texts
from gradscope.render.rule_page import rules_table, text_page


def print_rules(form: str, color: str) -> None:
    """Prints every rule.

    Args:
        form: ``text`` or ``json``.
        color: ``auto``, ``always`` or ``never``.
    """
    rules = rule_texts()
    if form == "json":
        print(json.dumps([asdict(rule) for rule in rules], indent=2))
    else:
        write(sys.stdout, rules_table(rules, color=wants_color(color, sys.stdout)))


def print_rule(text: str, color: str) -> None:
    """Prints the page of the rule with this code or name.

    Raises:
        UsageError: There is none.
    """
    page = text_page(
        find_rule(text),
        color=wants_color(color, sys.stdout),
        width=shutil.get_terminal_size((100, 24)).columns,
    )
    write(sys.stdout, page)
