"""Finds the rules and chooses among them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from types import ModuleType

from gradscope.diagnose import rules as rules_package
from gradscope.diagnose.rule import RegisteredRule, Rule
from gradscope.errors import UsageError
from gradscope.model.rule import RuleText


@cache
def registered_rules() -> tuple[RegisteredRule, ...]:
    """Every rule in the package ``rules``, by code.

    Raises:
        TypeError: A module in there is no rule.
    """
    modules = pkgutil.iter_modules(rules_package.__path__)
    found = [_load(module.name) for module in modules]
    return tuple(sorted(found, key=lambda rule: rule.code))


def _load(name: str) -> RegisteredRule:
    module = importlib.import_module(f"{rules_package.__name__}.{name}")
    rule, check = getattr(module, "RULE", None), getattr(module, "check", None)
    doc = _docstring(module)
    if not isinstance(rule, Rule) or not callable(check) or not doc:
        raise TypeError(f"{module.__name__} needs a docstring, a RULE and a check()")
    if name != f"{rule.code}_{rule.name}".lower().replace("-", "_"):
        raise TypeError(f"{module.__name__} holds {rule.code} {rule.name}: rename one of them")
    return RegisteredRule(rule, check, doc)


def _docstring(module: ModuleType) -> str:
    """The module's docstring, which ``python -OO`` leaves in the file only."""
    if module.__doc__ or sys.flags.optimize < 2:
        return module.__doc__ or ""
    return ast.get_docstring(ast.parse(inspect.getsource(module)), clean=False) or ""


def rule_texts() -> tuple[RuleText, ...]:
    """Every rule in words, by code."""
    return tuple(
        RuleText(found.code, found.rule.name, found.rule.summary, found.doc)
        for found in registered_rules()
    )


def find_rule(text: str) -> RuleText:
    """The rule with this code or name, whatever its case.

    Raises:
        UsageError: There is none; says which one was probably meant.
    """
    wanted = text.strip()
    for rule in rule_texts():
        if wanted.upper() == rule.code or wanted.lower().replace("_", "-") == rule.name:
            return rule
    raise UsageError(_unknown(text, registered_rules()))


def choose_rules(
    select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> tuple[RegisteredRule, ...]:
    """The rules to run: all, or those selected; without those ignored.

    Args:
        select: Codes or beginnings of codes, such as ``GS401`` or ``GS1``; case is ignored.
        ignore: The same; stronger than ``select``.

    Raises:
        UsageError: A code stands for no rule.
    """
    known = registered_rules()
    wanted = _matching(select, known) if select else {rule.code for rule in known}
    unwanted = _matching(ignore, known)
    return tuple(rule for rule in known if rule.code in wanted - unwanted)


def _matching(codes: Iterable[str], known: Sequence[RegisteredRule]) -> set[str]:
    matching: set[str] = set()
    for code in codes:
        prefix = code.strip().upper()
        found = {rule.code for rule in known if prefix and rule.code.startswith(prefix)}
        if not found:
            raise UsageError(_unknown(code, known))
        matching |= found
    return matching


def _unknown(code: str, known: Sequence[RegisteredRule]) -> str:
    wanted = code.strip()
    by_name = {rule.rule.name: rule.code for rule in known}
    close = get_close_matches(wanted.upper(), [rule.code for rule in known], n=1, cutoff=0.5)
    named = get_close_matches(wanted.lower(), list(by_name), n=1, cutoff=0.6)
    guess = by_name[named[0]] if named else next(iter(close), "")
    hint = f"did you mean {guess}?" if guess else "`gradscope rules` lists them."
    return f"no rule has the code {wanted!r}; {hint}"
