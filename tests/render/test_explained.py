"""An exception that a rule or a sentence explains: the explanation leads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.analysis.errors import RAISED, explaining, meaning
from gradscope.explanation import explanation
from gradscope.model.finding import Finding, Report, Where
from gradscope.model.trace import ScriptError, Trace
from gradscope.render.json import render_json
from gradscope.render.markdown import render_markdown
from gradscope.render.options import RenderOptions
from gradscope.render.summary import verdict
from gradscope.render.text import render_text
from tests.graph_builder import line

ERROR = ScriptError(
    "RuntimeError",
    "element 0 does not require grad. Hint: none",
    line(31, "loss.backward()"),
    "Traceback (most recent call last): …\nRuntimeError: element 0",
)
EXPLAINS = Finding(
    "GS302",
    "detached-loss",
    "error",
    "`p = out.argmax(1)` (train.py:8) has cut `loss` off",
    where=Where(source=line(8, "p = out.argmax(1)")),
    evidence={RAISED: "RuntimeError"},
    cause="It is an index.",
    fix="F.cross_entropy(out, y)",
)
OTHER = Finding("GS201", "nonfinite-gradient", "error", "Inf.", where=Where(source=line(3)))
SCALAR = replace(ERROR, message="grad can be implicitly created only for scalar outputs")


def report(error: ScriptError | None, *findings: Finding) -> Report:
    return Report(Trace(target="train.py", script_error=error), findings)


def test_the_finding_that_explains_it_leads_wherever_it_stands() -> None:
    for findings in ((EXPLAINS, OTHER), (OTHER, EXPLAINS)):
        answer = verdict(report(ERROR, *findings))
        assert (answer.kind, answer.location) == ("crash", "train.py:8")
        assert answer.text == "`p = out.argmax(1)` has cut `loss` off"
        assert answer.raised == "RuntimeError: element 0 does not require grad. (train.py:31)"
    assert explaining(report(ERROR, OTHER)) is None
    assert explaining(report(None, EXPLAINS)) is None


def test_the_text_says_the_answer_first_and_once() -> None:
    text = render_text(report(ERROR, OTHER, EXPLAINS), RenderOptions())
    assert text.startswith("train.py:8  `p = out.argmax(1)` has cut `loss` off\n  raised ")
    assert text.count("has cut `loss` off") == 1
    assert "fix        F.cross_entropy(out, y)" in text


def test_markdown_has_the_answer_before_the_traceback() -> None:
    text = render_markdown(report(ERROR, EXPLAINS), RenderOptions())
    assert text.startswith("# `train.py:8` ")
    assert text.index("has cut") < text.index("Traceback")


def test_json_keeps_the_exception_as_it_was() -> None:
    text = render_json(report(ERROR, EXPLAINS), RenderOptions())
    assert '"train.py:8"' in text
    assert "element 0 does not require grad. Hint: none" in text


def test_what_no_rule_explains_has_a_sentence_and_a_fix() -> None:
    text = render_text(report(SCALAR), RenderOptions())
    assert text.startswith("train.py:31  backward starts from one number, but this tensor has")
    assert "fix        loss.mean().backward()" in text
    assert "loss.mean().backward()" in render_markdown(report(SCALAR), RenderOptions())


@pytest.mark.parametrize(
    "message",
    [
        "Inference tensors cannot be saved for backward. Please do not use Tensors created in",
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
        "One of the differentiated Tensors does not require grad",
        "can't optimize a non-leaf Tensor",
        "optimizer got an empty parameter list",
    ],
)
def test_errors_that_have_a_meaning(message: str) -> None:
    known = meaning(replace(ERROR, message=message))
    assert known is not None
    assert known.fix
    assert known.says in message


def test_the_line_above_pythons_traceback() -> None:
    assert explanation(Trace(script_error=SCALAR)).startswith("train.py:31  backward starts from")
    assert explanation(Trace(script_error=replace(ERROR, message="boom"))) == ""
    assert explanation(Trace()) == ""
    hostile = replace(SCALAR, source=line(3, "\x1b[2J"))
    assert "\x1b" not in explanation(Trace(script_error=hostile))
