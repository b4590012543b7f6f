"""Warnings name the line that they name without a trace, and are shown as often."""

from __future__ import annotations

import inspect
import pickle
import warnings
from _warnings import warn as plain_warn

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gradscope

FLAT, COLUMN = torch.ones(4), torch.ones(4, 1, requires_grad=True)


def _in_python() -> int:
    F.mse_loss(COLUMN, FLAT)
    return _line() - 1


def _in_a_module() -> None:
    nn.Sequential(nn.Flatten(), nn.Softmax())(COLUMN)


def _in_torchs_own_code() -> int:
    assert (COLUMN * 2).grad is None
    return _line() - 1


def _by_the_user() -> int:
    warnings.warn("mine", stacklevel=1)
    return _line() - 1


def _line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


PLACES = [_in_python, _in_a_module, _in_torchs_own_code, _by_the_user]


def _warned(place: object, shown: str = "always") -> list[tuple[str, int, str]]:
    assert callable(place)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(shown)  # type: ignore[arg-type]
        place()
    return [(each.filename, each.lineno, str(each.message)) for each in caught]


@pytest.mark.parametrize("place", PLACES)
def test_a_warning_names_the_line_of_plain_python(place: object) -> None:
    plain = _warned(place)
    with gradscope.trace() as t:
        traced = _warned(place)
    assert traced == plain
    assert len(traced) == 1
    assert not t.trace.dropped


@pytest.mark.parametrize("place", [_in_python, _in_torchs_own_code, _by_the_user])
def test_the_line_is_the_users(place: object) -> None:
    assert callable(place)
    with gradscope.trace():
        ((file, line, _),) = _warned(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (file, line) == (__file__, place())


def test_two_lines_are_two_warnings() -> None:
    def both() -> None:
        F.mse_loss(COLUMN, FLAT)
        F.mse_loss(COLUMN, FLAT)

    with gradscope.trace():
        assert len(_warned(both, "default")) == 2


@pytest.mark.parametrize(("shown", "count"), [("default", 2), ("module", 1), ("once", 1)])
def test_warnings_of_torchs_own_code_are_counted_by_the_users_lines(shown: str, count: int) -> None:
    def both() -> None:
        for _ in range(3):
            assert (COLUMN * 2).grad is None
        assert (COLUMN * 2).grad is None

    plain = _warned(both, shown)
    with gradscope.trace() as t:
        traced = _warned(both, shown)
    assert traced == plain
    assert len(traced) == count
    assert not t.trace.dropped


def test_a_warning_of_torchs_own_code_is_raised_where_the_user_wants_it() -> None:
    with gradscope.trace(), warnings.catch_warnings():
        warnings.filterwarnings("error", module=__name__.replace(".", r"\."))
        with pytest.raises(UserWarning, match="not a leaf"):
            assert (COLUMN * 2).grad is None


def test_what_stands_before_warnings_is_gone_afterwards() -> None:
    before = warnings.warn, vars(warnings)["_showwarnmsg"]
    with gradscope.trace():
        assert warnings.warn is not before[0]
    assert (warnings.warn, vars(warnings)["_showwarnmsg"]) == before


def test_a_wrong_call_is_refused_as_always() -> None:
    with gradscope.trace():
        with pytest.raises(TypeError):
            warnings.warn("x", int, stacklevel=1)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            warnings.warn(stacklevel=1)  # type: ignore[call-overload]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(DeprecationWarning, match="old"):
                warnings.warn(DeprecationWarning("old"), stacklevel=2)


def test_what_stands_before_warn_is_pickled_by_its_name() -> None:
    before = warnings.warn
    with gradscope.trace():
        pickled = pickle.dumps(warnings.warn)
        assert pickle.loads(pickled) is warnings.warn is not before
        assert pickle.loads(pickle.dumps(plain_warn)) is plain_warn
    assert pickle.loads(pickled) is before
