"""Where gradients end by a call, what of it led to a loss without a graph, and changes in place."""

from __future__ import annotations

import linecache
from types import ModuleType

import pytest
import torch

import gradscope
from gradscope.capture.slicing import behind
from gradscope.capture.subject import subject
from gradscope.model.events import Cut
from gradscope.session import Session

PRELUDE = """
import torch
import torch.nn.functional as F
w = torch.arange(1.0, 4.0, requires_grad=True)
x = torch.ones(3)
"""


def cuts_of(session: Session) -> list[tuple[str, str, int]]:
    assert not session.trace.dropped, dict(session.trace.dropped)
    return [(c.op, c.variable, c.count) for c in session.trace.cuts]


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")
def test_what_cuts_and_what_does_not() -> None:
    w = torch.arange(1.0, 4.0, requires_grad=True)
    plain = torch.ones(3)
    with gradscope.trace() as t:
        for _ in range(2):
            h = w * 2
            h.detach()
            h.data  # noqa: B018
            h.argmax()
            torch.argmin(h)
            h.sum().item()
            h.detach().numpy()
            h.tolist()
            h > 1  # noqa: B015
            h.long()
            h.to(torch.int32)
            torch.tensor([h[0], h[1]])
            float(h[0])
        h.to(torch.float64)
        h.double()
        plain.argmax()
        plain > 1  # noqa: B015
        plain.to(torch.int64)
    assert cuts_of(t) == [
        ("detach", "h", 2),
        ("data", "h", 2),
        ("argmax", "h", 2),
        ("argmin", "h", 2),
        ("item", "h.sum()", 2),
        ("detach", "h", 2),
        ("tolist", "h", 2),
        ("gt", "h", 2),
        ("long", "h", 2),
        ("to", "h", 2),
        ("tensor", "[h[0], h[1]]", 2),
        ("float", "h[0]", 2),
    ]
    assert all(cut.depth is None for cut in t.trace.cuts)


def run(body: str, level: str = "ops") -> tuple[Cut, ...]:
    """The cuts of a program whose last line is a backward that fails."""
    path = f"/program_{abs(hash((body, level)))}.py"
    text = PRELUDE + body
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    main = ModuleType("program")
    with gradscope.trace(level=level) as t, pytest.raises(RuntimeError, match="does not require"):
        exec(compile(text, path, "exec"), vars(main))
    del linecache.cache[path]
    assert not t.trace.dropped
    return t.trace.cuts


HELPER = """
def score(h):
    best = h.argmax()
    return best.float()
loss = score(w * x) * 2
print(w.sum().item())
loss.backward()
"""
CALLER = """
def run(value):
    value.backward()
def outer():
    h = (w * x).sum()
    log = h.item()
    y = torch.tensor(log)
    run(y + 1)
outer()
"""
LISTS = """
losses = []
for i in range(3):
    losses.append((w * i).sum().item())
other = (w * 2).detach()
total = sum(losses)
torch.as_tensor(total).backward()
"""
BLOCK = """
with torch.no_grad():
    h = w * x
evaluated = 0
with torch.no_grad():
    evaluated = (w * 2).sum()
loss = h.sum()
loss.backward()
"""
DECORATED = """
@torch.inference_mode()
def model(x):
    return w * x
loss = model(x).sum()
loss.backward()
"""
SWITCHED = """
class Model:
    def forward(self, x):
        with torch.set_grad_enabled(False):
            return w * x
    __call__ = forward
model = Model()
a, loss = 1, F.mse_loss(model(x), x)
loss.backward()
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (HELPER, [("argmax", 8, 2)]),
        (CALLER, [("item", 11, 2)]),
        (LISTS, [("item", 9, 1)]),
        (BLOCK, [("no_grad", 7, 1)]),
        (DECORATED, [("inference_mode", 7, 1)]),
        (SWITCHED, [("set_grad_enabled", 9, 1)]),
        ("print(); p = w.argmax(); (p * 1.0).backward(); print()\n", [("argmax", 6, 0)]),
    ],
)
def test_only_what_led_to_the_loss_has_a_depth(
    body: str, expected: list[tuple[str, int, int]]
) -> None:
    cuts = run(body)
    found = [(c.op, c.source.line, c.depth) for c in cuts if c.source and c.depth is not None]
    assert found == expected


@pytest.mark.parametrize("body", [HELPER, CALLER, LISTS])
def test_the_source_alone_tells_where_only_parameters_are_recorded(body: str) -> None:
    seen = {(c.op, c.source.line) for c in run(body) if c.source and c.depth is not None}
    read = {(c.op, c.source.line) for c in run(body, "params") if c.source}
    assert seen <= read


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("h.detach()", "h"),
        ("self.out[0].argmax(dim=1)", "self.out[0]"),
        ("torch.argmax(scores, 1)", "scores"),
        ("F.relu(h, inplace=True)", "h"),
        ("h > 0.5", "h"),
        ("h.data", "h"),
        ("h[0]", "h"),
        ("h += 1", "h"),
        ("float(loss)", "loss"),
        ("", ""),
        ("(", ""),
        ("lambda: 0", ""),
    ],
)
def test_what_an_expression_is_about(expression: str, expected: str) -> None:
    assert subject(expression) == expected


def test_a_slice_of_what_cannot_be_read_is_empty() -> None:
    assert behind([("/nowhere.py", 3)], []).lines == {}
    linecache.cache["/broken.py"] = (3, None, ["if :\n"], "/broken.py")
    assert behind([("/broken.py", 1)], ["/broken.py"]).lines == {}
    del linecache.cache["/broken.py"]


def test_changes_in_place() -> None:
    w = torch.randn(4, requires_grad=True)
    with gradscope.trace() as t:
        h = w * 1
        h += 1
        h.add_(1)
        h[0] = 2.0
        torch.nn.functional.relu(h, inplace=True)
        with torch.no_grad():
            w.mul_(0.5)
    found = [(m.op, m.variable, m.version, m.shape) for m in t.trace.mutations]
    assert found == [
        ("add_", "h", 1, (4,)),
        ("add_", "h", 2, (4,)),
        ("setitem", "h", 3, (4,)),
        ("relu", "h", 4, (4,)),
        ("mul_", "w", 1, (4,)),
    ]


def test_many_changes_keep_the_last_of_every_line() -> None:
    w = torch.randn(4, requires_grad=True)
    with gradscope.trace() as t:
        h = w * 1
        h.neg_()
        for _ in range(100):
            h.add_(1)
    versions = [m.version for m in t.trace.mutations]
    assert versions == [1, *range(86, 102)]


def test_where_the_tensor_was_made_that_is_cut() -> None:
    w = torch.arange(1.0, 4.0, requires_grad=True)

    def block(argument: torch.Tensor) -> torch.Tensor:
        return argument.detach() + argument.sin()

    with gradscope.trace() as t:
        h = w.exp()
        block(h).sum().backward()
        w.detach()
    cut, leaf = t.trace.cuts
    assert (cut.variable, cut.made_by) == ("argument", "ExpBackward0")
    assert cut.made_at is not None
    assert cut.made_at.text == "h = w.exp()"
    assert (leaf.made_by, leaf.made_at) == ("", None)
