from __future__ import annotations

import pytest

from gradscope.diagnose.words import code, count, name, number, percent, power_of_ten, some
from tests.builders import line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2123, "0.21"),
        (3.0, "3"),
        (470.0, "470"),
        (9999.0, "10000"),
        (1.44e9, "1.4e9"),
        (2e-12, "2e-12"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_powers_never_overflow() -> None:
    assert power_of_ten(9.146) == "1.4e9"
    assert power_of_ten(400.3) == "2e400"


def test_shares_never_round_up_to_all() -> None:
    assert percent(0.974) == "97 %"
    assert percent(0.9999) == "99 %"
    assert percent(1.0) == "100 %"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("net.fc1.weight", "`net.fc1.weight`"),
        ("a\nb\tc", "`a b c`"),
        ("\x1b[31mred", "`[31mred`"),
        ("`x`", "`'x'`"),
        ("", "``"),
    ],
)
def test_names_stay_on_one_line(text: str, shown: str) -> None:
    assert name(text) == shown


def test_long_names_are_cut() -> None:
    assert len(name("x" * 5000)) == 74
    assert name("x" * 5000).endswith("…`")


def test_lists_of_names_are_cut_too() -> None:
    assert some(["a", "b"]) == "`a`, `b`"
    assert some(list("abcdefg")) == "`a`, `b`, `c` and 4 more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loss.backward()  # now", "loss.backward()"),
        ("f('#').backward()", "f('#').backward()"),
        ("f('#').backward() # '", "f('#').backward()"),
        ("x = (1 +  # open", "x = (1 +"),
        ("'''broken", "'''broken"),
        ("", ""),
    ],
)
def test_comments_are_no_code(text: str, shown: str) -> None:
    assert code(line(1, text)) == shown


def test_counting() -> None:
    assert count(1, "update") == "1 update"
    assert count(0, "update") == "0 updates"
