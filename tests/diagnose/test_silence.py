"""``# gradscope: ignore[GS401]``: what it silences, where, and what is said about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import gradscope
from gradscope.capture.comments import suppressions
from gradscope.diagnose import diagnose
from gradscope.diagnose.silence import silence
from gradscope.model.asked import Suppression
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Trace
from tests.diagnose.script_runs import run

LOOP = """
import torch
torch.manual_seed(0)
w = torch.randn(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.01)
for i in range(6):
    loss = w.square().mean()
    loss.backward({inside}
    ){behind}
    optimizer.step(){elsewhere}
"""


def judged(tmp_path: Path, **comments: str) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Codes told, codes ignored and notes of a script that never clears its gradients."""
    text = LOOP.format(**{"inside": "", "behind": "", "elsewhere": ""} | comments)
    report = diagnose(run(text, str(tmp_path / "loop.py")))
    told, ignored = report.findings, report.ignored
    notes = tuple(note for note in report.notes if not note.startswith(Path(__file__).name))
    return [f.code for f in told], [f.code for f in ignored], notes


@pytest.mark.parametrize("place", ["inside", "behind"])
@pytest.mark.parametrize(
    "comment",
    [
        "# gradscope: ignore[GS401]",
        "# gradscope: ignore",
        "# noqa: E501  # gradscope:ignore [gs602 , gs401]",
    ],
)
def test_any_line_of_the_statement(tmp_path: Path, place: str, comment: str) -> None:
    told, ignored, notes = judged(tmp_path, **{place: f"  {comment}"})
    assert (told, ignored) == ([], ["GS401"])
    assert notes[0] == "1 finding is ignored by comments: GS401."


def test_another_line_or_code_silences_nothing_and_is_told(tmp_path: Path) -> None:
    told, ignored, notes = judged(
        tmp_path, behind="  # gradscope: ignore[GS102]", elsewhere="  # gradscope: ignore[GS401]"
    )
    assert (told, ignored) == (["GS401"], [])
    assert notes == (
        "loop.py:9: `# gradscope: ignore[GS102]` silences nothing in this run.",
        "loop.py:10: `# gradscope: ignore[GS401]` silences nothing in this run.",
    )


def test_text_that_only_looks_like_a_comment(tmp_path: Path) -> None:
    told, ignored, _ = judged(tmp_path, behind="; text = '# gradscope: ignore'")
    assert (told, ignored) == (["GS401"], [])


def test_unknown_codes_are_told(tmp_path: Path) -> None:
    _, ignored, notes = judged(tmp_path, behind="  # gradscope: ignore[GS401, GS4, nonsense]")
    assert ignored == ["GS401"]
    said = "`# gradscope: ignore[GS401, GS4, nonsense]` are no rules' codes."
    assert notes[1] == f"loop.py:9: GS4, NONSENSE in {said}"


def test_a_rule_that_did_not_run_leaves_its_comment_in_peace(tmp_path: Path) -> None:
    text = LOOP.format(inside="", behind="  # gradscope: ignore[GS401]", elsewhere="")
    trace = run(text, str(tmp_path / "loop.py"))
    assert diagnose(trace, ignore=["GS401"]).notes == ()
    bare = dataclasses.replace(trace.suppressions[0], codes=(), first=1, last=1)
    trace = dataclasses.replace(trace, suppressions=(bare,))
    assert diagnose(trace, ignore=["GS401"]).notes == ()
    assert len(diagnose(trace).notes) == 1


def test_the_trace_is_judged_without_the_file(tmp_path: Path) -> None:
    """The comments are part of what was recorded."""
    text = LOOP.format(inside="", behind="  # gradscope: ignore", elsewhere="")
    trace = run(text, str(tmp_path / "loop.py"))
    assert not (tmp_path / "loop.py").exists()
    assert [f.code for f in diagnose(trace).ignored] == ["GS401"]


def test_a_traced_block_of_this_very_file() -> None:
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    with gradscope.trace() as t:
        for _ in range(6):
            w.square().mean().backward()  # gradscope: ignore[GS401]
            optimizer.step()
    assert t.findings == ()
    assert "1 finding is ignored by comments: GS401." in t.report()


def test_a_traced_block_does_not_judge_the_comments_of_its_file() -> None:
    with gradscope.trace() as t:
        torch.ones(2, requires_grad=True).sum().backward()
    assert any(comment.codes == ("GS401",) for comment in t.trace.suppressions)
    assert t._report.notes == ()


def finding(code: str, line: int, **parts: object) -> Finding:
    where = Where(source=Source("/x/a.py", line))
    return Finding(code, code.lower(), "error", "", where=where, **parts)  # type: ignore[arg-type]


def test_what_an_ignored_cause_explained_is_told_on_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with ``--ignore``: the comment is about the cause only."""
    from tests.diagnose.test_engine import fake, use

    cause = finding("GS401", 3)
    effect = dataclasses.replace(finding("GS102", 9), evidence={"growth": 10.0})
    use(monkeypatch, fake("GS401", [cause]), fake("GS102", [effect]))
    (told,) = diagnose(Trace()).findings
    assert [below.code for below in told.consequences] == ["GS102"]
    at_cause = Trace(suppressions=(Suppression("/x/a.py", 3, 3, 3),))
    report = diagnose(at_cause)
    assert [(f.code, f.consequences) for f in report.findings] == [("GS102", ())]
    at_effect = Trace(suppressions=(Suppression("/x/a.py", 9, 9, 9),))
    (told,) = diagnose(at_effect).findings
    assert (told.code, told.consequences) == ("GS401", ())


def test_files_and_lines_have_to_match() -> None:
    comments = [Suppression("/x/a.py", 5, 4, 6, ("GS401",)), Suppression("/x/b.py", 9, 9, 9)]
    findings = [finding("GS401", line) for line in (3, 4, 6, 7, 9)]
    findings.append(Finding("GS403", "n", "error", ""))
    done = silence(findings, comments, known=["GS401"], judged=["GS401"], everything=True)
    assert [f.where.source.line for f in done.ignored if f.where.source] == [4, 6]
    assert len(done.kept) == 4
    assert done.notes == ("b.py:9: `` silences nothing in this run.",)


COMMENTS = """
# gradscope: ignore[GS101]
x = (  # gradscope: ignore[GS102]
    1,
)
if x:  # gradscope: ignore
    y = 2  # unrelated
    # gradscope: ignored by nobody
    text = '''
    # gradscope: ignore
    '''
# gradscope: ignore[GS103]
"""


def test_statements_of_comments(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(COMMENTS)
    found = [(s.line, s.first, s.last, s.codes) for s in suppressions([str(file)])]
    assert found == [
        (2, 2, 2, ("GS101",)),
        (3, 3, 5, ("GS102",)),
        (6, 6, 6, ()),
        (12, 12, 12, ("GS103",)),
    ]


def test_what_is_not_python_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1  # gradscope: ignore\n%magic (\n'''\n")
    assert len(suppressions([str(file), str(tmp_path / "missing.py")])) == 1
