"""What ``gradscope.trace()`` is asked for is checked before anything runs, in one sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gradscope
from gradscope.capture.options import CaptureOptions
from gradscope.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": math.nan}, "budget must be above 0 and at most 100 %"),
        ({"budget": "10%"}, "budget must be a number such as 0.2, not '10%'"),
        ({"budget": None}, "budget must be a number such as 0.2, not None"),
        ({"level": ["ops"]}, "level .'ops'. is not one of params, modules, ops"),
        ({"every": -1}, "every must be 1 or more, not -1"),
        ({"every": "3"}, "every must be a whole number of 1 or more, not '3'"),
        ({"every": 2.5}, "every must be a whole number of 1 or more, not 2.5"),
        ({"every": True}, "every must be a whole number of 1 or more, not True"),
        ({"steps": 5}, r"steps must be whole numbers such as \(0, 10, -1\), not 5"),
        ({"steps": None}, r"steps must be whole numbers such as \(0, 10, -1\), not None"),
        ({"steps": "0,5"}, r"steps must be whole numbers such as \(0, 10, -1\), not '0,5'"),
        ({"steps": ("a",)}, r"steps must be whole numbers such as \(0, 10, -1\), not 'a'"),
        ({"steps": [0, 1.5]}, r"steps must be whole numbers such as \(0, 10, -1\), not 1.5"),
        ({"verify_functions": "no"}, "verify_functions must be True or False, not 'no'"),
    ],
)
def test_a_value_of_another_type_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gradscope.trace(**options)


@pytest.mark.parametrize(
    ("name", "least"), [("always_seen", 0), ("max_graphs", 2), ("max_nodes_walked", 1)]
)
def test_a_count_has_a_least_value(name: str, least: int) -> None:
    assert getattr(CaptureOptions(**{name: least}), name) == least  # type: ignore[arg-type]
    for bad, said in ((least - 1, rf"{least} or more, not {least - 1}"), ("x", "a whole number")):
        with pytest.raises(UsageError, match=f"{name} must be {said}"):
            CaptureOptions(**{name: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [np.array([0, 2]), [0, 2], range(0, 3, 2), (np.int64(0), 2)])
def test_steps_may_be_any_whole_numbers(given: Any) -> None:
    gradscope.trace(steps=given)
    steps = CaptureOptions(steps=given).steps
    assert steps == (0, 2)
    assert [type(step) for step in steps] == [int, int]
